//! TLS: whom to trust, and who we are.

use redis::cluster::ClusterClientBuilder;
use redis::{Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, RedisError, TlsCertificates};
use rustls::crypto::{CryptoProvider, ring};

/// Certificates of the user's own, in PEM.
#[derive(Clone, Default)]
pub(crate) struct Tls {
    pub(crate) root: Option<Vec<u8>>,
    pub(crate) client: Option<(Vec<u8>, Vec<u8>)>,
}

impl Tls {
    fn certificates(&self) -> TlsCertificates {
        let client_tls = self
            .client
            .clone()
            .map(|(client_cert, client_key)| ClientTlsConfig {
                client_cert,
                client_key,
            });
        TlsCertificates {
            client_tls,
            root_cert: self.root.clone(),
        }
    }

    /// A client of one server.
    pub(crate) fn open(&self, node: &ConnectionInfo) -> Result<Client, RedisError> {
        if is_tls(node) {
            provide();
            return Client::build_with_tls(node.clone(), self.certificates());
        }
        Client::open(node.clone())
    }

    /// Gives a cluster's client the certificates, if it speaks TLS.
    pub(crate) fn equip(
        &self,
        nodes: &[ConnectionInfo],
        builder: ClusterClientBuilder,
    ) -> ClusterClientBuilder {
        if nodes.iter().any(is_tls) {
            provide();
            return builder.certs(self.certificates());
        }
        builder
    }
}

fn is_tls(node: &ConnectionInfo) -> bool {
    matches!(node.addr(), ConnectionAddr::TcpTls { .. })
}

/// The driver uses the process's cryptography. A program that has not chosen one gets ring.
fn provide() {
    if CryptoProvider::get_default().is_none() {
        // Somebody else may have been faster; then theirs is used.
        let _ = ring::default_provider().install_default();
    }
}
