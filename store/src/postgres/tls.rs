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

/// What to do about a connection that was refused, where that is about its encryption; nothing otherwise.
pub fn advice(why: &str) -> &'static str {
    const ADVICE: &[(&str, &str)] = &[
        ("UnknownIssuer", "; name the authority that signed the database's certificate: sslrootcert=/path/ca.pem"),
        ("not valid for name", "; connect by a name that stands in the database's certificate"),
        // Citus makes itself such a certificate where there is none.
        (
            "UnsupportedCertVersion",
            "; give the database a certificate signed by an authority, or say sslmode=disable here",
        ),
        ("no encryption", "; the database wants TLS: sslmode=verify-full"),
        ("does not support TLS", "; the database has no TLS: set `ssl = on` there, or sslmode=disable here"),
    ];
    ADVICE.iter().find(|it| why.contains(it.0)).map_or("", |it| it.1)
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
            if roots.is_empty() {
                return Err(wrong(&"there is no certificate in it"));
            }
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().map_err(|it| fault(it.to_string()))?;
    Ok(MakeRustlsConnect::new(config.with_root_certificates(roots).with_no_client_auth()))
}
