//! Reads large texts beside the thread that serves: others are served on it, and nobody should wait while tens of megabytes
//! are looked through for somebody else.

/// Texts of more bytes are large; to read so many takes about a millisecond.
const LARGE: usize = 1 << 20;

/// What `read` makes of a text of so many bytes.
pub async fn aside<T: Send + 'static>(bytes: usize, read: impl FnOnce() -> T + Send + 'static) -> T {
    if bytes <= LARGE {
        return read();
    }
    match tokio::task::spawn_blocking(read).await {
        Ok(made) => made,
        // It is never cancelled, so it panicked: that is the caller's to tell.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[tokio::test]
    async fn only_large_texts_are_read_on_another_thread() {
        let here = thread::current().id();
        for (bytes, same) in [(0, true), (LARGE, true), (LARGE + 1, false)] {
            let read_on = aside(bytes, || thread::current().id()).await;
            assert_eq!(read_on == here, same, "{bytes}");
        }
    }
}
