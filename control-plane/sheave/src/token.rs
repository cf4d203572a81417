//! `sheave token create`: lets another node join.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::joining::{self, Token};

/// Command line of `token`.
#[derive(Clone, Debug, clap::Args)]
pub struct TokenArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Action {
    /// Make a bootstrap token, and print what `sheave node --join` takes.
    Create {
        /// How to reach the API server, and as whom; the server's `admin.kubeconfig` has the right.
        #[arg(long, value_name = "FILE")]
        kubeconfig: PathBuf,
        /// The URL that the node is to use, where it is another than the kubeconfig's.
        #[arg(long, value_name = "URL")]
        server: Option<String>,
        /// Hours until the token ends.
        #[arg(long, value_name = "HOURS", default_value_t = 24)]
        hours: u64,
    },
}

/// Does what the command line says.
///
/// # Errors
/// When the kubeconfig cannot be used, or the API server refuses.
pub async fn run(arguments: TokenArguments) -> Result<()> {
    let Action::Create { kubeconfig, server, hours } = arguments.action;
    let path = kubeconfig.display();
    let read = Kubeconfig::read_from(&kubeconfig).with_context(|| format!("cannot read the kubeconfig {path}"))?;
    let authority = authority(&read).with_context(|| format!("{path} has no certificate-authority-data"))?;
    let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await;
    let config = config.with_context(|| format!("cannot use the kubeconfig {path}"))?;
    let server = server.unwrap_or_else(|| config.cluster_url.to_string().trim_end_matches('/').to_owned());
    let client = Client::try_from(config).with_context(|| format!("cannot use the kubeconfig {path}"))?;
    let token = Token::generate()?;
    joining::publish_token(&client, &token, Some(hours.saturating_mul(3600)), "made by sheave token create").await?;
    println!("{}", joining::line(&token, &server, &authority)?);
    Ok(())
}

/// The authority of the current context's cluster.
fn authority(kubeconfig: &Kubeconfig) -> Option<String> {
    let current = kubeconfig.current_context.as_deref()?;
    let context = kubeconfig.contexts.iter().find(|context| context.name == current)?.context.as_ref()?;
    let cluster = kubeconfig.clusters.iter().find(|cluster| cluster.name == context.cluster)?.cluster.as_ref()?;
    let data = BASE64_STANDARD.decode(cluster.certificate_authority_data.as_ref()?).ok()?;
    String::from_utf8(data).ok()
}
