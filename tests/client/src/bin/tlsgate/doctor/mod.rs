//! `tlsgate doctor`: is everything there, does it work, and what to do next if not.

#[cfg(windows)]
mod look;
mod observed;
mod report;
#[cfg(windows)]
mod signing;
mod text;

#[cfg(windows)]
pub use command::run;
#[cfg(windows)]
pub use observed::observed;

#[cfg(windows)]
mod command {
    use super::{look, text};
    use crate::{cli, show};
    use anyhow::{Result, bail};

    /// Looks and tells; fails when the driver cannot be used.
    pub async fn run(options: &cli::Doctor) -> Result<()> {
        let report = look::look().await;
        if options.json {
            show::json(&report)?;
        } else {
            show::print(&text::text(&report))?;
        }
        if !report.ready {
            bail!("the driver cannot be used");
        }
        Ok(())
    }
}
