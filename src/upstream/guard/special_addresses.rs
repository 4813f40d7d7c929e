//! Which addresses are not on the public internet. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IPv4 networks that are internal or no destination at all: the IANA registry of special-purpose addresses
/// (<https://www.iana.org/assignments/iana-ipv4-special-registry>) and multicast, with what each is.
const V4: &[(Ipv4Addr, u32, &str)] = &[
    (Ipv4Addr::new(169, 254, 0, 0), 16, "a link-local or metadata address"),
    // The metadata and agent service of Azure's machines, in public address space.
    (Ipv4Addr::new(168, 63, 129, 16), 32, "a metadata address"),
    // The metadata service of Alibaba Cloud's machines.
    (Ipv4Addr::new(100, 100, 100, 200), 32, "a metadata address"),
    (Ipv4Addr::new(0, 0, 0, 0), 8, "an unspecified address"),
    (Ipv4Addr::new(10, 0, 0, 0), 8, "a private address"),
    (Ipv4Addr::new(100, 64, 0, 0), 10, "a private address"),
    (Ipv4Addr::new(127, 0, 0, 0), 8, "a loopback address"),
    (Ipv4Addr::new(172, 16, 0, 0), 12, "a private address"),
    (Ipv4Addr::new(192, 0, 0, 0), 24, "a reserved address"),
    (Ipv4Addr::new(192, 0, 2, 0), 24, "a documentation address"),
    (Ipv4Addr::new(192, 88, 99, 0), 24, "a reserved address"),
    (Ipv4Addr::new(192, 168, 0, 0), 16, "a private address"),
    (Ipv4Addr::new(198, 18, 0, 0), 15, "a private address"),
    (Ipv4Addr::new(198, 51, 100, 0), 24, "a documentation address"),
    (Ipv4Addr::new(203, 0, 113, 0), 24, "a documentation address"),
    (Ipv4Addr::new(224, 0, 0, 0), 4, "a multicast address"),
    (Ipv4Addr::new(240, 0, 0, 0), 4, "a reserved address"),
];

/// The IPv6 networks likewise (<https://www.iana.org/assignments/iana-ipv6-special-registry>), looked at after those
/// that carry an IPv4 address.
const V6: &[(Ipv6Addr, u32, &str)] = &[
    (Ipv6Addr::UNSPECIFIED, 128, "an unspecified address"),
    (Ipv6Addr::LOCALHOST, 128, "a loopback address"),
    (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48, "a private address"),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, "a private address"),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, "a link-local address"),
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10, "a private address"),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, "a multicast address"),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, "a documentation address"),
    // IETF protocol assignments, Teredo and ORCHID among them.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, "a reserved address"),
];

/// Global unicast (RFC 4291, as assigned by IANA): all other IPv6 space is reserved.
const GLOBAL: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
const DOCUMENTATION_3FFF: (Ipv6Addr, u32) = (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20);

/// What is internal about `address`; `None` when it is on the public internet. An IPv6 address that carries an IPv4
/// address is what that one is.
pub fn internal(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => internal_v4(address),
        IpAddr::V6(address) => internal_v6(address),
    }
}

fn internal_v4(address: Ipv4Addr) -> Option<&'static str> {
    let within = |&&(network, length, _): &&(Ipv4Addr, u32, &str)| {
        (address.to_bits() ^ network.to_bits()).leading_zeros() >= length
    };
    V4.iter().find(within).map(|(_, _, what)| *what)
}

fn internal_v6(address: Ipv6Addr) -> Option<&'static str> {
    let within = |network: Ipv6Addr, length: u32| (address.to_bits() ^ network.to_bits()).leading_zeros() >= length;
    if let Some((_, _, what)) = V6.iter().find(|(network, length, _)| within(*network, *length)) {
        return Some(what);
    }
    if let Some(carried) = carried_v4(address) {
        return internal_v4(carried);
    }
    let public = within(GLOBAL.0, GLOBAL.1) && !within(DOCUMENTATION_3FFF.0, DOCUMENTATION_3FFF.1);
    (!public).then_some("a reserved address")
}

/// The IPv4 address that a packet to `address` ends up at.
fn carried_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let low = |high: u16, low: u16| Ipv4Addr::from_bits((u32::from(high) << 16) | u32::from(low));
    match address.segments() {
        // IPv4-compatible, IPv4-mapped and IPv4-translated (RFC 4291, RFC 2765).
        [0, 0, 0, 0, 0, 0 | 0xffff, a, b] | [0, 0, 0, 0, 0xffff, 0, a, b] => Some(low(a, b)),
        // NAT64 (RFC 6052).
        [0x64, 0xff9b, 0, 0, 0, 0, a, b] => Some(low(a, b)),
        // 6to4 (RFC 3056).
        [0x2002, a, b, ..] => Some(low(a, b)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("0.0.0.0")]
    #[case("0.1.2.3")]
    #[case("10.0.0.1")]
    #[case("10.255.255.255")]
    #[case("100.64.0.1")]
    #[case("100.127.255.255")]
    #[case("100.100.100.200")]
    #[case("127.0.0.1")]
    #[case("127.255.255.254")]
    #[case("168.63.129.16")]
    #[case("169.254.169.254")]
    #[case("172.16.0.1")]
    #[case("172.31.255.255")]
    #[case("192.0.0.192")]
    #[case("192.0.2.1")]
    #[case("192.88.99.1")]
    #[case("192.168.1.1")]
    #[case("198.18.0.1")]
    #[case("198.19.255.255")]
    #[case("198.51.100.7")]
    #[case("203.0.113.9")]
    #[case("224.0.0.1")]
    #[case("239.255.255.255")]
    #[case("240.0.0.1")]
    #[case("255.255.255.255")]
    #[case("::")]
    #[case("::1")]
    #[case("::127.0.0.1")]
    #[case("::10.0.0.1")]
    #[case("::ffff:127.0.0.1")]
    #[case("::ffff:169.254.169.254")]
    #[case("::ffff:0:10.0.0.1")]
    #[case("64:ff9b::10.0.0.1")]
    #[case("64:ff9b::7f00:1")]
    #[case("64:ff9b:1::8.8.8.8")]
    #[case("2002:7f00:1::")]
    #[case("2002:a9fe:a9fe::1")]
    #[case("2001::1")]
    #[case("2001:db8::1")]
    #[case("3fff::1")]
    #[case("4000::1")]
    #[case("5f00::1")]
    #[case("100::1")]
    #[case("fc00::1")]
    #[case("fd00:ec2::254")]
    #[case("fd20:ce::254")]
    #[case("fe80::1")]
    #[case("fec0::1")]
    #[case("ff02::1")]
    #[case("ff0e::1")]
    fn an_internal_address_is_told(#[case] address: &str) {
        assert!(internal(address.parse().unwrap()).is_some());
    }

    #[rstest::rstest]
    #[case("1.1.1.1")]
    #[case("9.255.255.255")]
    #[case("11.0.0.0")]
    #[case("100.63.255.255")]
    #[case("100.128.0.0")]
    #[case("126.255.255.255")]
    #[case("128.0.0.1")]
    #[case("168.63.129.17")]
    #[case("172.15.255.255")]
    #[case("172.32.0.0")]
    #[case("192.0.1.1")]
    #[case("192.167.255.255")]
    #[case("192.169.0.0")]
    #[case("198.17.255.255")]
    #[case("198.20.0.0")]
    #[case("223.255.255.255")]
    #[case("2606:4700::1111")]
    #[case("2a00:1450:4001::200e")]
    #[case("2001:4860:4860::8888")]
    #[case("::ffff:8.8.8.8")]
    #[case("64:ff9b::8.8.8.8")]
    #[case("2002:808:808::1")]
    fn a_public_address_is_told(#[case] address: &str) {
        assert_eq!(internal(address.parse().unwrap()), None);
    }
}
