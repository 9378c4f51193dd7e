//! Holds back a store's writes until it is killed:
//! `cargo run -p ratelimiter-chaos --example hold_pause -- redis://127.0.0.1:6379`

use ratelimiter_chaos::{Reach, RedisPause};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args()
        .nth(1)
        .ok_or("the store's URL is missing")?;
    let guard = RedisPause::new(url.parse()?, Reach::ThisMachine)?
        .inject()
        .await?;
    println!("held");
    while guard.is_held() {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    guard.heal().await?;
    Ok(())
}
