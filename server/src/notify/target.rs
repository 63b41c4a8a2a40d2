//! Where a notice may go. An address that a customer's platform typed in must not lead into the operator's own network:
//! no private, local or special address is spoken to unless the operator allows it.
//!
//! Invariant: what is checked is the very address the connection is made to, at every try: a name that is looked up
//! again, and then leads elsewhere, leads nowhere.
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

const LENGTH_MAX: usize = 2_000;

/// How far notices may reach.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    /// Public addresses, over TLS.
    Public,
    /// Any, also without TLS: for an operator whose receivers are beside the server, and for trying things out.
    Anywhere,
}

/// What is wrong with a target; completes "`url` …".
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TargetFault {
    NotAUrl,
    NotSecure,
    HasUser,
    Private,
}

impl fmt::Display for TargetFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TargetFault::NotAUrl => "must be an absolute http(s) URL of at most 2000 visible ASCII characters",
            TargetFault::NotSecure => "must begin with https://",
            TargetFault::HasUser => "must not hold a user name or password; notices are signed instead",
            TargetFault::Private => "must not lead to a private or local address",
        })
    }
}

/// Checks a target as far as it can be checked before its name is looked up.
///
/// # Errors
/// The first fault.
pub fn check_target(url: &str, reach: Reach) -> Result<(), TargetFault> {
    if LENGTH_MAX < url.len() || !url.bytes().all(|it| it.is_ascii_graphic()) {
        return Err(TargetFault::NotAUrl);
    }
    let uri: Uri = url.parse().map_err(|_| TargetFault::NotAUrl)?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return Err(TargetFault::NotAUrl) };
    if authority.as_str().contains('@') {
        return Err(TargetFault::HasUser);
    }
    match (scheme, reach) {
        ("https", _) | ("http", Reach::Anywhere) => {}
        ("http", Reach::Public) => return Err(TargetFault::NotSecure),
        _ => return Err(TargetFault::NotAUrl),
    }
    let host = authority.host().trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
    if host.is_empty() {
        return Err(TargetFault::NotAUrl);
    }
    if reach == Reach::Public {
        let is_local = host == "localhost" || [".localhost", ".local", ".internal"].iter().any(|it| host.ends_with(it));
        let is_private = host.parse::<IpAddr>().is_ok_and(|it| !is_public(it));
        if is_local || is_private {
            return Err(TargetFault::Private);
        }
    }
    Ok(())
}

/// Looks names up, and gives only the addresses that may be spoken to.
#[derive(Debug)]
pub(super) struct Guard(pub Reach);

impl Resolver for Guard {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = DefaultResolver::default().resolve(uri, config, timeout)?;
        let mut allowed = self.empty();
        for address in found.iter().filter(|it| self.0 == Reach::Anywhere || is_public(it.ip())) {
            allowed.push(*address);
        }
        if allowed.is_empty() { Err(ureq::Error::HostNotFound) } else { Ok(allowed) }
    }
}

/// Whether an address is one of the public network's (IANA's special-purpose registries, November 2026).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(it) => is_public_v4(it),
        IpAddr::V6(it) => is_public_v6(it),
    }
}

fn is_public_v4(it: Ipv4Addr) -> bool {
    let [a, b, c, _] = it.octets();
    let is_special = it.is_private()
        || it.is_loopback()
        || it.is_link_local()
        || it.is_documentation()
        || a == 0
        // Between a provider and its customers.
        || (a == 100 && (64..128).contains(&b))
        // Protocol assignments, and 6to4 relays.
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        // Benchmarks.
        || (a == 198 && (18..20).contains(&b))
        // Multicast and what is reserved, broadcast included.
        || 224 <= a;
    !is_special
}

fn is_public_v6(it: Ipv6Addr) -> bool {
    if let Some(inner) = it.to_ipv4_mapped() {
        return is_public_v4(inner);
    }
    let [a, b, ..] = it.segments();
    // Global unicast, without documentation, protocol assignments, Teredo and 6to4, which carry another address inside.
    let is_global = a & 0xe000 == 0x2000;
    let is_special = (a == 0x2001 && (b < 0x0200 || b == 0x0db8)) || a == 0x2002 || (a & 0xfff0) == 0x3ff0;
    is_global && !is_special
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets() {
        use TargetFault::*;
        let check = |url: &str, expected: Result<(), TargetFault>| {
            assert_eq!(check_target(url, Reach::Public), expected, "{url}");
        };
        check("https://example.com/hooks?x=1", Ok(()));
        check("https://example.com:8443", Ok(()));
        check("https://93.184.215.14/", Ok(()));
        check("https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]/", Ok(()));
        check("http://example.com/", Err(NotSecure));
        check("ftp://example.com/", Err(NotAUrl));
        check("example.com", Err(NotAUrl));
        check("/hooks", Err(NotAUrl));
        check("https://", Err(NotAUrl));
        check("https://exämple.com/", Err(NotAUrl));
        check("https://me:secret@example.com/", Err(HasUser));
        for host in ["localhost", "LOCALHOST.", "a.localhost", "printer.local", "metadata.google.internal"] {
            check(&format!("https://{host}/"), Err(Private));
        }
        assert_eq!(check_target("http://127.0.0.1:9000/", Reach::Anywhere), Ok(()));
        assert_eq!(check_target("http://me@127.0.0.1:9000/", Reach::Anywhere), Err(HasUser));
    }

    #[test]
    fn addresses_that_are_not_public() {
        for address in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "203.0.113.9",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
        ] {
            let address: IpAddr = address.parse().unwrap();
            assert!(!is_public(address), "{address}");
            let IpAddr::V4(inner) = address else { unreachable!() };
            assert!(!is_public(IpAddr::V6(inner.to_ipv6_mapped())), "{address} mapped");
        }
        for address in
            ["::", "::1", "fe80::1", "fc00::1", "fd12::1", "ff02::1", "2001:db8::1", "2002:7f00:1::", "64:ff9b::7f00:1"]
        {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
        for address in ["1.1.1.1", "100.63.255.255", "172.32.0.1", "2606:4700::1111", "2a00:1450::1"] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn a_name_that_leads_home_is_not_spoken_to() {
        let uri: Uri = "https://localhost/".parse().unwrap();
        let timeout = || NextTimeout {
            after: ureq::unversioned::transport::time::Duration::NotHappening,
            reason: ureq::Timeout::Global,
            ..NextTimeout::default()
        };
        let config = ureq::Agent::config_builder().build();
        assert!(Guard(Reach::Anywhere).resolve(&uri, &config, timeout()).is_ok());
        assert!(matches!(Guard(Reach::Public).resolve(&uri, &config, timeout()), Err(ureq::Error::HostNotFound)));
    }
}
