//! Libraries that the machine of an image provides for its hardware.

use std::sync::OnceLock;

use super::rarely::globs;
use crate::glob::Glob;
use crate::rows;

/// Libraries of one kind, and the reason why they are not packed.
struct HostLibraries {
    why: String,
    libraries: Vec<Glob>,
}

/// The reason why the machine provides a library of this soname, in words after its name; `None` if it does not.
pub(crate) fn is_of_host(soname: &[u8]) -> Option<&'static str> {
    let row = rows().iter().find(|row| row.libraries.iter().any(|glob| glob.matches_name(soname).is_some()))?;
    Some(&row.why)
}

fn rows() -> &'static [HostLibraries] {
    static ROWS: OnceLock<Vec<HostLibraries>> = OnceLock::new();
    ROWS.get_or_init(|| {
        let fields = rows::embedded(include_str!("../../templates/policy/host-libraries.toml"));
        let read = fields.iter().flat_map(|(_, datum)| read(datum).expect("a test reads each row"));
        read.collect()
    })
}

fn read(datum: &rows::Datum) -> Result<Vec<HostLibraries>, Vec<rows::Problem>> {
    rows::named("host-libraries", datum, |reader, _, fields, _| {
        let mut row = HostLibraries { why: String::new(), libraries: Vec::new() };
        for (key, value) in fields {
            match key.as_str() {
                "name" => {}
                "why" => row.why = reader.text(key, value),
                "libraries" => row.libraries = globs(reader, key, value),
                _ => reader.unknown(key, value, &["name", "why", "libraries"]),
            }
        }
        Some(row)
    })
}

#[cfg(test)]
mod tests {
    use super::is_of_host;

    #[test]
    fn libraries_of_drivers_are_the_hosts() {
        for (soname, expected) in [
            ("libcuda.so.1", true),
            ("libnvidia-ml.so.1", true),
            ("libEGL_nvidia.so.0", true),
            ("libmali.so.1", true),
            ("libcudart.so.12", false),
            ("libc.so.6", false),
            ("libEGL.so.1", false),
        ] {
            assert_eq!(is_of_host(soname.as_bytes()).is_some(), expected, "{soname}");
        }
    }
}
