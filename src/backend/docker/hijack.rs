//! The bare bytes of a command's terminal. bollard takes a chunk that begins with 0, 1 or 2 for a frame of a command without
//! a terminal, and waits for a rest that never comes: one `cat` of a binary file would end the session.

use super::connect::{Client, Place};
use bollard::container::LogOutput;
use bollard::errors::Error;
use futures_util::stream;
use serde::Deserialize;
use std::io::{Error as IoError, Result};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, ReadHalf};
use tokio::net::{TcpStream, UnixStream};

use super::exec::{CHUNK, Input, Output};

/// Longest head of an answer, and longest refusal.
const HEAD: u64 = 16 << 10;

trait Both: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Both for T {}

type Reader = BufReader<ReadHalf<Box<dyn Both>>>;

#[derive(Deserialize)]
struct Refused {
    message: String,
}

/// Starts the command `exec` and takes over the connection; `None` where TLS is between.
pub async fn start(client: &Client, exec: &str) -> Option<std::result::Result<(Output, Input), Error>> {
    let address = match &client.place {
        Place::Socket(path) => UnixStream::connect(path).await.map(|stream| Box::new(stream) as Box<dyn Both>),
        Place::Plain(url) => TcpStream::connect(authority(url)).await.map(|stream| Box::new(stream) as Box<dyn Both>),
        Place::Tls { .. } => return None,
    };
    let path = format!("/exec/{exec}/start");
    let taken = async { take_over(address?, &path).await };
    Some(taken.await.map_err(Error::from).and_then(|taken| taken))
}

async fn take_over(stream: Box<dyn Both>, path: &str) -> Result<std::result::Result<(Output, Input), Error>> {
    let (reader, mut writer) = tokio::io::split(stream);
    let body = r#"{"Detach":false,"Tty":true}"#;
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: engine\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    writer.write_all(request.as_bytes()).await?;
    let mut reader = BufReader::new(reader);
    let (status, length) = head(&mut reader).await?;
    if !matches!(status, 101 | 200) {
        let mut refusal = Vec::new();
        reader.take(length.unwrap_or(HEAD).min(HEAD)).read_to_end(&mut refusal).await?;
        let refused = serde_json::from_slice::<Refused>(&refusal).map(|refused| refused.message);
        let message = refused.unwrap_or_else(|_| String::from_utf8_lossy(&refusal).into_owned());
        return Ok(Err(Error::DockerResponseServerError { status_code: status, message }));
    }
    Ok(Ok((Box::pin(stream::unfold(reader, read)), Box::pin(writer))))
}

/// Status and length of an answer; the reader then stands behind its head.
async fn head(reader: &mut Reader) -> Result<(u16, Option<u64>)> {
    let mut lines = reader.take(HEAD).lines();
    let first = lines.next_line().await?.unwrap_or_default();
    let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
    let mut length = None;
    while let Some(line) = lines.next_line().await?.filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').unwrap_or_default();
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok();
        }
    }
    Ok((status.ok_or_else(|| IoError::other("the engine did not answer in HTTP"))?, length))
}

async fn read(mut reader: Reader) -> Option<(std::result::Result<LogOutput, Error>, Reader)> {
    let mut bytes = vec![0; CHUNK];
    match reader.read(&mut bytes).await {
        Ok(0) => None,
        Ok(length) => {
            bytes.truncate(length);
            Some((Ok(LogOutput::Console { message: bytes.into() }), reader))
        }
        Err(error) => Some((Err(error.into()), reader)),
    }
}

/// `host:port` of an address.
fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}
