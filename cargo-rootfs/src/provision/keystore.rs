//! Java's certificate file, as ca-certificates-java makes it with keytool(1): a keystore of the type JKS, which every
//! Java reads (`sun.security.provider.JavaKeyStore`).
//!
//! It only encodes and decodes bytes.

use sha1::{Digest, Sha1};

/// The publicly known password; a keystore of certificates contains no secret (keytool(1), "The cacerts Certificates
/// File").
const PASSWORD: &str = "changeit";

const MAGIC: u32 = 0xfeed_feed;
const VERSION: u32 = 2;

/// The type of an entry without a private key.
const TRUSTED: u32 = 2;

/// A keystore of DER certificates, each with its alias. Its creation times are all 0.
pub(super) fn keystore<'c>(certificates: impl ExactSizeIterator<Item = (&'c str, &'c [u8])>) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend([MAGIC, VERSION, count(certificates.len())].map(u32::to_be_bytes).as_flattened());
    for (alias, certificate) in certificates {
        bytes.extend(TRUSTED.to_be_bytes());
        utf(&mut bytes, &alias.to_lowercase());
        bytes.extend(0_u64.to_be_bytes());
        utf(&mut bytes, "X.509");
        bytes.extend(count(certificate.len()).to_be_bytes());
        bytes.extend(certificate);
    }
    let mut sum = Sha1::new();
    PASSWORD.encode_utf16().for_each(|unit| sum.update(unit.to_be_bytes()));
    sum.update("Mighty Aphrodite");
    sum.update(&bytes);
    bytes.extend(sum.finalize());
    bytes
}

/// The first certificate of a PEM text (RFC 7468), in DER.
pub(super) fn certificate(pem: &str) -> Option<Vec<u8>> {
    let (_, text) = pem.split_once("-----BEGIN CERTIFICATE-----")?;
    let (text, _) = text.split_once("-----END CERTIFICATE-----")?;
    let (mut bytes, mut held, mut bits) = (Vec::new(), 0_u32, 0);
    for digit in text.bytes().filter(|byte| !byte.is_ascii_whitespace() && *byte != b'=') {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        held = held << 6 | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits & 0xff) as u8);
        }
    }
    Some(bytes)
}

/// A text after its length, as `DataOutput.writeUTF` encodes it. File names have no NUL, which that encodes
/// differently.
fn utf(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend(u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
    bytes.extend(text.bytes());
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_its_alias_and_its_certificate() {
        let bytes = keystore([("debian:A.pem", &b"der"[..])].into_iter());
        let entry = b"\0\0\0\x02\0\x0cdebian:a.pem\0\0\0\0\0\0\0\0\0\x05X.509\0\0\0\x03der";
        let expected = [&b"\xfe\xed\xfe\xed\0\0\0\x02\0\0\0\x01"[..], entry].concat();
        assert_eq!(bytes[..bytes.len() - 20], expected);
    }

    #[test]
    fn the_sum_is_what_keytool_checks() {
        // The digest of an empty keystore, made by `keytool -importcert` and `-delete` with the storetype JKS.
        let bytes = keystore([].into_iter());
        assert_eq!("e2686e45fb43dfa4d992dd41ceb6b21c6330d792", crate::provision::cache::hexadecimal(&bytes[12..]));
    }

    #[test]
    fn certificates_are_read_from_pem() {
        let pem = "x\n-----BEGIN CERTIFICATE-----\nAAEC\n/+7d\nzA==\n-----END CERTIFICATE-----\nrest";
        assert_eq!(certificate(pem).unwrap(), [0, 1, 2, 0xff, 0xee, 0xdd, 0xcc]);
        for text in ["", "-----BEGIN CERTIFICATE-----\nAAEC", "-----BEGIN CERTIFICATE-----!-----END CERTIFICATE-----"] {
            assert_eq!(certificate(text), None, "{text}");
        }
    }
}
