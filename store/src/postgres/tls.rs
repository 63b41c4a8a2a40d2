//! Encryption on the way to the database. A certificate is always checked: against the authorities everybody trusts, or
//! the one that is named.
use std::path::Path;
use std::sync::Arc;

use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::Fault;

pub type Tls = MakeRustlsConnect;

fn fault(why: String) -> Fault {
    Fault::new("preparing TLS to the database", why)
}

/// Trusts the authorities of the PEM file `authority`; those of the web where none is named.
pub fn connector(authority: Option<&Path>) -> Result<Tls, Fault> {
    let mut roots = RootCertStore::empty();
    match authority {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(path) => {
            let wrong = |it: &dyn std::fmt::Display| fault(format!("{}: {it}", path.display()));
            for certificate in CertificateDer::pem_file_iter(path).map_err(|it| wrong(&it))? {
                let certificate = certificate.map_err(|it| wrong(&it))?;
                roots.add(certificate).map_err(|it| wrong(&it))?;
            }
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().map_err(|it| fault(it.to_string()))?;
    Ok(MakeRustlsConnect::new(config.with_root_certificates(roots).with_no_client_auth()))
}
