//! The order of versions: of a distribution's packages, and of crates.

use std::cmp::Ordering;

/// deb-version(7): epoch, version, revision. It also orders most versions of apk and pacman correctly.
pub(super) fn packages(one: &str, two: &str) -> Ordering {
    let parts = |text: &str| -> (u64, String, String) {
        let (epoch, rest) = text.split_once(':').unwrap_or(("0", text));
        let (version, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
        (epoch.parse().unwrap_or(0), version.to_owned(), revision.to_owned())
    };
    let (one, two) = (parts(one), parts(two));
    one.0.cmp(&two.0).then_with(|| part(&one.1, &two.1)).then_with(|| part(&one.2, &two.2))
}

/// Compares alternating runs of non-digits and digits; `~` comes first, letters come before other characters.
fn part(one: &str, two: &str) -> Ordering {
    let (mut one, mut two) = (one.as_bytes(), two.as_bytes());
    let weight = |byte: Option<&u8>| match byte {
        Some(b'~') => -1,
        None => 0,
        Some(byte) if byte.is_ascii_digit() => 0,
        Some(byte) if byte.is_ascii_alphabetic() => i32::from(*byte),
        Some(byte) => i32::from(*byte) + 256,
    };
    while !one.is_empty() || !two.is_empty() {
        let is_word = |byte: Option<&u8>| byte.is_some_and(|byte| !byte.is_ascii_digit());
        while is_word(one.first()) || is_word(two.first()) {
            let order = weight(one.first()).cmp(&weight(two.first()));
            if order.is_ne() {
                return order;
            }
            (one, two) = (one.get(1..).unwrap_or_default(), two.get(1..).unwrap_or_default());
        }
        let number = |text: &mut &[u8]| {
            let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
            let (digits, rest) = text.split_at(end);
            *text = rest;
            let start = digits.iter().position(|byte| *byte != b'0').unwrap_or(digits.len());
            digits[start..].to_vec()
        };
        let (first, second) = (number(&mut one), number(&mut two));
        let order = first.len().cmp(&second.len()).then_with(|| first.cmp(&second));
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}

/// Semantic Versioning: a pre-release comes before its release, and build metadata does not count.
pub(super) fn crates(one: &str, two: &str) -> Ordering {
    let parts = |text: &str| -> (String, Option<String>) {
        let text = text.split('+').next().unwrap_or_default();
        match text.split_once('-') {
            Some((release, pre)) => (release.to_owned(), Some(pre.to_owned())),
            None => (text.to_owned(), None),
        }
    };
    let (one, two) = (parts(one), parts(two));
    part(&one.0, &two.0).then_with(|| match (&one.1, &two.1) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (Some(one), Some(two)) => part(one, two),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_packages_as_dpkg_orders_them() {
        // dpkg --compare-versions A lt B
        for (one, two) in [
            ("1.0", "1.1"),
            ("1.9", "1.10"),
            ("1.0~rc1", "1.0"),
            ("9:0", "10:0"),
            ("9", "1:0"),
            ("2.36-9+deb12u9", "2.36-9+deb12u10"),
            ("1.0-1", "1.0-1.1"),
            ("1.0a", "1.0+"),
            ("1.2.13", "1.2.13.dfsg-1"),
            ("2.36-9", "2.36-9+deb12u1"),
        ] {
            assert_eq!(packages(one, two), Ordering::Less, "{one} {two}");
            assert_eq!(packages(two, one), Ordering::Greater, "{one} {two}");
        }
        assert_eq!(packages("1.01", "1.1"), Ordering::Equal);
    }

    #[test]
    fn versions_of_crates_as_cargo_orders_them() {
        for (one, two) in [("1.9.0", "1.10.0"), ("1.0.0-rc.1", "1.0.0"), ("1.0.0-alpha.2", "1.0.0-alpha.10")] {
            assert_eq!((crates(one, two), crates(two, one)), (Ordering::Less, Ordering::Greater), "{one} {two}");
        }
        assert_eq!(crates("1.0.0+a", "1.0.0+b"), Ordering::Equal);
    }
}
