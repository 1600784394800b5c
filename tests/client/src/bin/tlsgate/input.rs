//! The standard input, read by a thread of its own: a read of it cannot be given up.

use std::io::{BufRead, Read};
use tokio::sync::mpsc::{Receiver, channel};

/// Bytes that are read at once.
const CHUNK: usize = 64 * 1024;

/// Pieces of it, as they come, until its end.
pub fn pieces() -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel(1);
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        let mut piece = vec![0; CHUNK];
        // An input that cannot be read has ended.
        while let Ok(length @ 1..) = input.read(&mut piece) {
            if sender.blocking_send(piece[..length].to_vec()).is_err() {
                break;
            }
        }
    });
    receiver
}

/// Its lines, until its end.
pub fn lines() -> Receiver<String> {
    let (sender, receiver) = channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// Returns when the program is to stop: at the end of the standard input, if it was told so, or at
/// Ctrl-C.
pub async fn stop(at_end_of_input: bool) {
    if at_end_of_input {
        let mut lines = lines();
        while lines.recv().await.is_some() {}
    } else {
        ctrl_c().await;
    }
}

/// Returns at Ctrl-C.
pub async fn ctrl_c() {
    if let Err(error) = tokio::signal::ctrl_c().await {
        eprintln!("no Ctrl-C here ({error}): end the process to stop it");
        std::future::pending::<()>().await;
    }
}
