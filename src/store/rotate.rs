//! A file of lines that never outgrows its limit: `name`, then `name.1` (newest old one), `name.2` ...
//! Imports nothing of ours.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Lines are collected up to this size before they are written without being asked.
const BUFFER_BYTES: usize = 64 * 1024;

/// Appends lines to a file and rotates it by size. Lines wait in a buffer until [`flush`](Self::flush), so a batch
/// costs one `write` and a look at what is there. The file may be renamed, removed or truncated by another program
/// (`logrotate`) at any time: the next flush opens a new one under the name.
#[derive(Debug)]
pub struct RotatedFile {
    path: PathBuf,
    rotate_bytes: u64,
    keep: u32,
    file: File,
    inode: (u64, u64),
    /// Whole lines that are not in the file yet.
    buffer: Vec<u8>,
    lines: u64,
    lost: u64,
    /// The last rotation failed, and that was said.
    stuck: bool,
}

impl RotatedFile {
    /// Opens `path` for appending, creating it (0600) and its folder. It is rotated before a write would take it
    /// over `rotate_bytes`; `keep` old files stay.
    pub fn open(path: impl Into<PathBuf>, rotate_bytes: u64, keep: u32) -> io::Result<Self> {
        let path = path.into();
        let (file, inode) = open_append(&path)?;
        Ok(Self { path, rotate_bytes, keep, file, inode, buffer: Vec::new(), lines: 0, lost: 0, stuck: false })
    }

    /// The name it writes under.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Lines that could not be written since it was opened.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Takes one line, without its line feed. Writes only if the buffer is full; the error is that of
    /// [`flush`](Self::flush).
    pub fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
        self.buffer.extend_from_slice(line);
        self.buffer.push(b'\n');
        self.lines += 1;
        if self.buffer.len() >= BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    /// Hands every buffered line to the operating system. On an error the lines of this buffer are lost, counted in
    /// [`lost`](Self::lost) and named in the message; the next flush starts afresh.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let outcome = self.write_buffer();
        let lines = std::mem::take(&mut self.lines);
        self.buffer.clear();
        outcome.map_err(|error| {
            self.lost += lines;
            let lost = self.lost;
            io::Error::new(error.kind(), format!("{error} ({lines} lines not written, {lost} since the start)"))
        })
    }

    /// [`flush`](Self::flush), and waits until the disk has it.
    pub fn sync(&mut self) -> io::Result<()> {
        self.flush()?;
        self.file.sync_data()
    }

    fn write_buffer(&mut self) -> io::Result<()> {
        let size = self.follow_name()?;
        if size > 0 && size + self.buffer.len() as u64 > self.rotate_bytes {
            self.rotate_or_grow();
        }
        if self.ends_within_a_line()? {
            self.file.write_all(b"\n")?;
        }
        self.file.write_all(&self.buffer)
    }

    /// True after a write that failed half way, ours or that of an owner before us that was killed: a line that is
    /// appended must not be lost with the torn one.
    fn ends_within_a_line(&self) -> io::Result<bool> {
        let Some(last) = self.file.metadata()?.len().checked_sub(1) else { return Ok(false) };
        let mut byte = [0];
        self.file.read_exact_at(&mut byte, last)?;
        Ok(byte != *b"\n")
    }

    /// Makes sure that the open file is the one under the name; answers its size.
    fn follow_name(&mut self) -> io::Result<u64> {
        match std::fs::metadata(&self.path) {
            Ok(meta) if (meta.dev(), meta.ino()) == self.inode => Ok(meta.len()),
            Ok(_) => self.reopen(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.reopen(),
            Err(error) => Err(error),
        }
    }

    fn reopen(&mut self) -> io::Result<u64> {
        (self.file, self.inode) = open_append(&self.path)?;
        Ok(self.file.metadata()?.len())
    }

    /// A file that cannot be rotated grows: losing its lines would be worse.
    fn rotate_or_grow(&mut self) {
        let failed = self.rotate().err();
        if let Some(error) = failed.as_ref().filter(|_| !self.stuck) {
            tracing::warn!("{} cannot be rotated and grows: {error}", self.path.display());
        }
        self.stuck = failed.is_some();
    }

    fn rotate(&mut self) -> io::Result<()> {
        if self.keep == 0 {
            std::fs::remove_file(&self.path)?;
        }
        for n in (0..self.keep).rev() {
            match std::fs::rename(self.numbered(n), self.numbered(n + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        self.reopen().map(|_| ())
    }

    fn numbered(&self, n: u32) -> PathBuf {
        if n == 0 {
            return self.path.clone();
        }
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{n}"));
        name.into()
    }
}

impl Drop for RotatedFile {
    /// A last try; who needs to know flushes first.
    fn drop(&mut self) {
        if let Err(error) = self.flush() {
            tracing::error!("{}: {error}", self.path.display());
        }
    }
}

fn open_append(path: &Path) -> io::Result<(File, (u64, u64))> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    let meta = file.metadata()?;
    Ok((file, (meta.dev(), meta.ino())))
}
