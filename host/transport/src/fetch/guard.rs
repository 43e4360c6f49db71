//! Which addresses a plugin's request may go to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How far an address reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// Anywhere.
    Public,
    /// This machine, or the network it is in.
    Private,
    /// One link, a metadata service, a translated or reserved one: to be meant, it must be written down.
    Special,
    /// Many, or nobody.
    Never,
}

/// Instances ask these who they are and what they may do. The first lies among public addresses.
const METADATA_V4: [Ipv4Addr; 3] = [Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(192, 0, 0, 192)];
/// The networks of clouds' own services, by their first 32 bits: AWS fd00:ec2::/32, Google fd20:ce::/32, Oracle fd00:c1::/32.
const METADATA_V6: [(u16, u16); 3] = [(0xfd00, 0xec2), (0xfd20, 0xce), (0xfd00, 0xc1)];

/// May a request for `host` go to this address? `is_private`: the operator named the host as one of the private network.
pub(super) fn permits(host: &str, is_private: bool, address: IpAddr) -> bool {
    match reach(address) {
        Reach::Public => true,
        Reach::Private => is_private,
        Reach::Special => is_private && host.parse() == Ok(address),
        Reach::Never => false,
    }
}

fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(address) => reach_v4(address),
        IpAddr::V6(address) => reach_v6(address),
    }
}

fn reach_v4(address: Ipv4Addr) -> Reach {
    let [a, b, c, _] = address.octets();
    match (a, b, c) {
        _ if METADATA_V4.contains(&address) => Reach::Special,
        (0 | 224..=239, ..) | (255, 255, 255) => Reach::Never,
        (10 | 127, ..) | (172, 16..=31, _) | (192, 168, _) | (100, 64..=127, _) => Reach::Private,
        // Link-local; protocol assignments, examples, 6to4 relays, benchmarks; reserved.
        (169, 254, _) | (192, 0, 0 | 2) | (192, 88, 99) | (198, 18 | 19, _) | (198, 51, 100) | (203, 0, 113) | (240.., ..) => {
            Reach::Special
        }
        _ => Reach::Public,
    }
}

fn reach_v6(address: Ipv6Addr) -> Reach {
    let [a, b, ..] = address.segments();
    match a {
        _ if METADATA_V6.contains(&(a, b)) => Reach::Special,
        _ if address.is_unspecified() || address.is_multicast() => Reach::Never,
        _ if address.is_loopback() => Reach::Private,
        0xfc00..=0xfdff => Reach::Private,
        // Teredo and other protocols, examples, 6to4: each may hide an IPv4 address, or is nobody's.
        0x2001 if b < 0x200 || b == 0xdb8 => Reach::Special,
        0x2002 => Reach::Special,
        0x3fff if b < 0x1000 => Reach::Special,
        0x2000..=0x3fff => Reach::Public,
        // Mapped and translated IPv4, link-local and whatever is not given out yet.
        _ => Reach::Special,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permitted(host: &str, is_private: bool, address: &str) -> bool {
        permits(host, is_private, address.parse().unwrap())
    }

    #[test]
    fn only_public_addresses_are_reached_by_default() {
        for public in ["1.1.1.1", "93.184.216.34", "172.32.0.1", "100.128.0.1", "192.0.1.1", "2606:4700::1111", "2001:4860:4860::8888"] {
            assert!(permitted("h", false, public), "{public}");
        }
        let refused = [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
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
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "168.63.129.16",
            "100.100.100.200",
            "192.0.0.192",
            "::",
            "::1",
            "::ffff:93.184.216.34",
            "::ffff:127.0.0.1",
            "::7f00:1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "3fff::1",
            "fc00::1",
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fd20:ce::254",
            "fd00:c1::a9fe:a9fe",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "5f00::1",
        ];
        for address in refused {
            assert!(!permitted("h", false, address), "{address}");
        }
    }

    #[test]
    fn a_private_host_is_reached_in_its_network_and_no_further() {
        for private in ["10.0.0.1", "127.0.0.1", "192.168.1.1", "100.64.0.1", "::1", "fd12::1", "1.1.1.1"] {
            assert!(permitted("intranet", true, private), "{private}");
        }
        for refused in [
            "169.254.169.254",
            "fd00:ec2::254",
            "fd20:ce::254",
            "168.63.129.16",
            "fe80::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "0.0.0.0",
            "224.0.0.1",
        ] {
            assert!(!permitted("intranet", true, refused), "{refused}");
        }
        assert!(permitted("169.254.169.254", true, "169.254.169.254"), "it was written down");
        assert!(!permitted("169.254.169.254", false, "169.254.169.254") && !permitted("224.0.0.1", true, "224.0.0.1"));
    }
}
