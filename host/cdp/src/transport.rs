//! Ways for CDP messages to come and go: a WebSocket, a debugging pipe, or a task in this process.

use futures_util::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    net::TcpStream,
    sync::mpsc,
};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, tungstenite::Message};

/// Messages that may wait on their way out, and on their way in.
const MAX_OUTGOING_MESSAGES: usize = 1024;
const MAX_INCOMING_MESSAGES: usize = 256;

pub(super) type TcpWebSocket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Two bounded queues of CDP messages. What is sent is closed by dropping the last sender; what is
/// received ends with the reason.
#[derive(Debug)]
pub struct Transport {
    /// Commands to the browser.
    pub outgoing: mpsc::Sender<String>,
    /// Messages from the browser, or why there will be none.
    pub incoming: mpsc::Receiver<Result<String, String>>,
}

impl Transport {
    /// Over a WebSocket.
    pub fn socket<S>(socket: WebSocketStream<S>) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (transport, outgoing, incoming) = Self::queues();
        let (sink, stream) = socket.split();
        tokio::spawn(write_socket(sink, outgoing));
        tokio::spawn(read_socket(stream, incoming));
        transport
    }

    /// Over Chromium's debugging pipe: JSON texts, each ended by a zero byte.
    pub(super) fn pipe(
        input: impl AsyncWrite + Send + Unpin + 'static,
        output: impl AsyncRead + Send + Unpin + 'static,
    ) -> Self {
        let (transport, outgoing, incoming) = Self::queues();
        tokio::spawn(write_pipe(input, outgoing));
        tokio::spawn(read_pipe(output, incoming));
        transport
    }

    fn queues() -> (
        Self,
        mpsc::Receiver<String>,
        mpsc::Sender<Result<String, String>>,
    ) {
        let (outgoing, queue) = mpsc::channel(MAX_OUTGOING_MESSAGES);
        let (found, incoming) = mpsc::channel(MAX_INCOMING_MESSAGES);
        (Self { outgoing, incoming }, queue, found)
    }
}

async fn write_socket<S: AsyncRead + AsyncWrite + Unpin>(
    mut sink: SplitSink<WebSocketStream<S>, Message>,
    mut queue: mpsc::Receiver<String>,
) {
    while let Some(text) = queue.recv().await {
        // The reader sees the same failure and reports it.
        if sink.send(Message::text(text)).await.is_err() {
            return;
        }
    }
    let _closing = sink.close().await;
}

async fn read_socket<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: SplitStream<WebSocketStream<S>>,
    found: mpsc::Sender<Result<String, String>>,
) {
    let reason = loop {
        match stream.next().await {
            Some(Ok(Message::Text(text))) => {
                if found.send(Ok(text.as_str().to_owned())).await.is_err() {
                    return;
                }
            }
            Some(Ok(Message::Close(_))) | None => break "it closed the connection".to_owned(),
            Some(Ok(_)) => {}
            Some(Err(e)) => break e.to_string(),
        }
    };
    let _nobody_listens = found.send(Err(reason)).await;
}

async fn write_pipe(mut input: impl AsyncWrite + Unpin, mut queue: mpsc::Receiver<String>) {
    while let Some(text) = queue.recv().await {
        // JSON escapes control characters, so there is no zero byte inside.
        let sent = async {
            input.write_all(text.as_bytes()).await?;
            input.write_all(&[0]).await?;
            input.flush().await
        };
        if sent.await.is_err() {
            return;
        }
    }
}

async fn read_pipe(output: impl AsyncRead + Unpin, found: mpsc::Sender<Result<String, String>>) {
    let mut output = BufReader::with_capacity(1 << 16, output);
    let reason = loop {
        let mut bytes = Vec::new();
        match output.read_until(0, &mut bytes).await {
            Ok(0) => break "it closed the debugging pipe".to_owned(),
            Ok(_) => {
                bytes.pop_if(|last| *last == 0);
                let Ok(text) = String::from_utf8(bytes) else {
                    break "it sent something else than UTF-8".to_owned();
                };
                if found.send(Ok(text)).await.is_err() {
                    return;
                }
            }
            Err(e) => break e.to_string(),
        }
    };
    let _nobody_listens = found.send(Err(reason)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_pipe_parts_messages_at_zero_bytes() {
        let (ours, theirs) = tokio::io::duplex(64);
        let (read, write) = tokio::io::split(theirs);
        let mut transport = Transport::pipe(write, read);
        let (read, mut write) = tokio::io::split(ours);

        write.write_all(b"{\"a\":1}\0{\"b\"").await.unwrap();
        write.write_all(b":2}\0").await.unwrap();
        transport.outgoing.send("{}".to_owned()).await.unwrap();
        let mut sent = Vec::new();
        BufReader::new(read).read_until(0, &mut sent).await.unwrap();

        assert_eq!(
            transport.incoming.recv().await,
            Some(Ok("{\"a\":1}".to_owned()))
        );
        assert_eq!(
            transport.incoming.recv().await,
            Some(Ok("{\"b\":2}".to_owned()))
        );
        assert_eq!(sent, b"{}\0");
    }

    #[tokio::test]
    async fn the_end_of_a_pipe_is_told() {
        let (ours, theirs) = tokio::io::duplex(64);
        let (read, write) = tokio::io::split(theirs);
        let mut transport = Transport::pipe(write, read);

        drop(ours);

        assert!(matches!(transport.incoming.recv().await, Some(Err(_))));
        assert_eq!(transport.incoming.recv().await, None);
    }
}
