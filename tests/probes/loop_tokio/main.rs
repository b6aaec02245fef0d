//! As loop_asyncio.py, for tokio: `loop_tokio COUNT ADDRESS PORT`.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval};

async fn ask(address: SocketAddr) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(answer.windows(5).any(|bytes| bytes == b"hello"))
}

/// Ticks until told to stop: how often, and the longest time in between.
async fn tick(stop: Arc<AtomicBool>) -> (u32, Duration) {
    let (mut ticks, mut gap) = (0, Duration::ZERO);
    let mut ticking = interval(Duration::from_millis(1));
    ticking.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = Instant::now();
    // Relaxed: one thread runs all tasks.
    while !stop.load(Relaxed) {
        ticking.tick().await;
        let now = Instant::now();
        (ticks, gap) = (ticks + 1, gap.max(now - last));
        last = now;
    }
    (ticks, gap)
}

async fn ask_all(count: usize, address: SocketAddr) -> usize {
    let asked: Vec<_> = (0..count).map(|_| tokio::spawn(ask(address))).collect();
    let mut answered = 0;
    for asking in asked {
        match asking.await {
            Ok(Ok(is_answer)) => answered += usize::from(is_answer),
            Ok(Err(error)) => eprintln!("{error}"),
            Err(error) => eprintln!("{error}"),
        }
    }
    answered
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [count, address, port] = arguments.as_slice() else {
        return Err("usage: loop_tokio COUNT ADDRESS PORT".into());
    };
    let (count, address) = (count.parse()?, SocketAddr::new(address.parse()?, port.parse()?));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let start = Instant::now();
    let (answered, (ticks, gap)) = runtime.block_on(async {
        let stop = Arc::new(AtomicBool::new(false));
        let ticking = tokio::spawn(tick(Arc::clone(&stop)));
        let answered = ask_all(count, address).await;
        stop.store(true, Relaxed);
        ticking.await.map(|ticked| (answered, ticked))
    })?;
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    println!("{answered} {ticks} {:.1} {:.1}", milliseconds(gap), milliseconds(start.elapsed()));
    Ok(())
}
