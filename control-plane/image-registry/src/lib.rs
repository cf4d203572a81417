//! A read-only OCI registry (distribution-spec 1.1, pull only) over a folder of images.
//!
//! The folder holds OCI image layouts, as tar archives (`*.tar`) or as folders. A node serves it to its container
//! runtime on a loopback address, and the runtime is configured to ask there first and nowhere else, whatever registry
//! an image's name says. So every image pull policy works without a network, and nothing is sent out.
//!
//! # Guarantees
//! - An image that is added to the folder while the server runs is found at the next pull.
//! - Only what an index in the folder names is served; a request's path never becomes a file's path.
//! - A damaged archive is logged and left out; the others are served.
//!
//! # Assumptions
//! Archives are replaced by renaming, as `cargo xtask image` does; one that is overwritten in place may be read half.

mod answer;
mod layout;
mod library;
mod range;
mod reference;
mod request;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpListener;

pub use layout::LayoutError;
pub use library::Library;

/// Where a node's registry listens unless told otherwise: port 5000 of the loopback address.
pub const DEFAULT_ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 5000);

/// Serves the images in `folder` until the future is dropped.
///
/// Give it a listener on a loopback address: it asks nobody who they are.
///
/// # Errors
/// When the listener fails.
pub async fn serve(listener: TcpListener, folder: &Path) -> io::Result<()> {
    let library = Arc::new(Library::open(folder));
    let address = listener.local_addr()?;
    tracing::info!(%address, folder = %folder.display(), images = library.len(), "images are served");
    axum::serve(listener, answer::router(library)).await
}
