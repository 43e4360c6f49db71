//! `sluice stdio`

use super::{ConfigArgs, Exit, serve};
use crate::assembly::{Assembly, Purpose, listener_settings};
use anyhow::Result;
use clap::Args;
use sluice_chain::principal::Principal;
use sluice_transport::downstream;
use tokio_util::sync::CancellationToken;

#[derive(Args)]
pub struct Stdio {
    #[command(flatten)]
    config: ConfigArgs,
    /// Serve this group (`sluice.groups`) instead of what `/mcp` has.
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
}

impl Stdio {
    pub fn run(self) -> Result<Exit> {
        let Some(config) = self.config.load(None) else { return Ok(Exit::Config) };
        serve::start_log(&config.settings.log);
        let runtime = serve::runtime()?;
        let exit = runtime.block_on(async {
            let settings = listener_settings(&config)?;
            let assembly = Assembly::new(config, Purpose::Stdio).await?;
            let (stop, drain) = (CancellationToken::new(), CancellationToken::new());
            let watching = assembly.plugins.clone().watch(false, stop.clone());
            let on_signal = drain.clone();
            tokio::spawn(async move {
                serve::told_to_stop().await;
                on_signal.cancel();
            });
            let local = assembly.caller(Principal::local(), self.group.as_deref())?;
            downstream::serve_stdio(tokio::io::stdin(), tokio::io::stdout(), assembly.host.clone(), local, settings, drain).await?;
            stop.cancel();
            let _ = watching.await;
            assembly.close().await;
            Ok(Exit::Good)
        });
        // A thread may still sit in a read of standard input that nobody can interrupt.
        runtime.shutdown_background();
        exit
    }
}
