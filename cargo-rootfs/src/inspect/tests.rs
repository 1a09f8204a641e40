//! Hostile input, one test for each kind; and layers, applied in the way of loaders.

use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use serde_json::json;
use sha2::{Digest, Sha256};

use super::*;
use crate::RootfsPath;

/// An archive made member by member, valid or not.
#[derive(Default)]
pub(crate) struct Made(Vec<u8>);

impl Made {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn member(mut self, kind: u8, name: &str, mode: u32, link: &str, data: &[u8]) -> Self {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.as_old_mut().linkflag[0] = kind;
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(data.len() as u64);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(data);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub(crate) fn dir(self, name: &str) -> Self {
        self.member(b'5', name, 0o755, "", b"")
    }

    pub(crate) fn file(self, name: &str, data: &[u8]) -> Self {
        self.member(b'0', name, 0o644, "", data)
    }

    pub(crate) fn program(self, name: &str, data: &[u8]) -> Self {
        self.member(b'0', name, 0o755, "", data)
    }

    pub(crate) fn symlink(self, name: &str, target: &str) -> Self {
        self.member(b'2', name, 0o777, target, b"")
    }

    pub(crate) fn hardlink(self, name: &str, target: &str) -> Self {
        self.member(b'1', name, 0o644, target, b"")
    }

    pub(crate) fn bytes(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

pub(crate) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{:x}", Sha256::digest(bytes))
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A layout of one image, in a temporary directory.
pub(crate) struct Layout {
    pub(crate) folder: tempfile::TempDir,
}

impl Layout {
    /// `layers` are stored bytes with their uncompressed form; `config` overrides parts of the configuration.
    pub(crate) fn new(layers: &[(Vec<u8>, &[u8])], config: serde_json::Value) -> Self {
        let layout = Self { folder: tempfile::TempDir::new().unwrap() };
        std::fs::create_dir_all(layout.folder.path().join("blobs/sha256")).unwrap();
        let diff_ids: Vec<String> = layers.iter().map(|(_, plain)| digest(plain)).collect();
        let history: Vec<_> = layers.iter().map(|_| json!({"created_by": "test"})).collect();
        let mut whole = json!({
            "architecture": "amd64", "os": "linux", "config": {}, "history": history,
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        for (key, value) in config.as_object().unwrap() {
            whole[key] = value.clone();
        }
        let described: Vec<_> = layers
            .iter()
            .map(|(stored, plain)| {
                let media_type = if stored == plain { "tar" } else { "tar+gzip" };
                layout.blob(stored, &format!("application/vnd.oci.image.layer.v1.{media_type}"))
            })
            .collect();
        let config = layout.blob(whole.to_string().as_bytes(), crate::image::manifest::CONFIG);
        let manifest = json!({"schemaVersion": 2, "config": config, "layers": described}).to_string();
        let manifest = layout.blob(manifest.as_bytes(), crate::image::manifest::MANIFEST);
        layout.write("index.json", json!({"schemaVersion": 2, "manifests": [manifest]}).to_string().as_bytes());
        layout.write("oci-layout", crate::image::manifest::LAYOUT.as_bytes());
        layout
    }

    fn write(&self, path: &str, bytes: &[u8]) {
        std::fs::write(self.folder.path().join(path), bytes).unwrap();
    }

    fn blob(&self, bytes: &[u8], media_type: &str) -> serde_json::Value {
        let digest = digest(bytes);
        self.write(&format!("blobs/{}", digest.replace(':', "/")), bytes);
        json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
    }

    /// Adds a document about the image, with the bytes of `stored` in its place.
    fn about(&self, document: &[u8], stored: &[u8]) {
        let index: serde_json::Value =
            serde_json::from_slice(&std::fs::read(self.folder.path().join("index.json")).unwrap()).unwrap();
        let document = self.blob(document, "application/spdx+json");
        self.write(&format!("blobs/{}", document["digest"].as_str().unwrap().replace(':', "/")), stored);
        let unknown = json!({"mediaType": "application/spdx+json", "digest": "sha512:00", "size": 1});
        let layers = [document.clone(), unknown, document];
        let manifest = json!({"schemaVersion": 2, "layers": layers, "subject": index["manifests"][0]});
        self.blob(manifest.to_string().as_bytes(), crate::image::manifest::MANIFEST);
    }

    pub(crate) fn name(&self) -> &str {
        self.folder.path().to_str().unwrap()
    }

    fn blob_of(&self, bytes: &[u8]) -> PathBuf {
        self.folder.path().join(format!("blobs/{}", digest(bytes).replace(':', "/")))
    }
}

const SMALL: Limits = Limits { expanded: 1 << 30, slack: 256 << 10, ratio: 20, entries: 1000, names: 1 << 20 };

pub(crate) fn read_with(name: &str, limits: Limits) -> crate::Result<Inspected> {
    static NEVER: AtomicBool = AtomicBool::new(false);
    let access = Access { limits, platform: None, insecure: Vec::new(), interrupted: &NEVER };
    Source::open(name, &access)?.read(0)
}

#[test]
fn documents_about_an_image_are_read_from_a_layout_and_its_archive() {
    static NEVER: AtomicBool = AtomicBool::new(false);
    let layout = Layout::new(&[], json!({}));
    layout.about(b"{}", b"{}");
    layout.about(b"the bill", b"other bytes");
    let archive = layout.folder.path().with_extension("tar");
    let mut tar = tar::Builder::new(std::fs::File::create(&archive).unwrap());
    tar.append_dir_all(".", layout.folder.path()).unwrap();
    tar.into_inner().unwrap();
    for name in [layout.name(), archive.to_str().unwrap()] {
        let access = Access { limits: SMALL, platform: None, insecure: Vec::new(), interrupted: &NEVER };
        let source = Source::open(name, &access).unwrap();
        assert_eq!(source.documents(0, &["application/spdx+json"]).unwrap(), [b"{}".to_vec()], "{name}");
        assert_eq!(source.documents(0, &["application/vnd.cyclonedx+json"]).unwrap(), [[0_u8; 0]; 0]);
    }
    std::fs::remove_file(archive).unwrap();
}

fn read_tar(bytes: &[u8]) -> crate::Result<Inspected> {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("x.tar");
    std::fs::write(&path, bytes).unwrap();
    read_with(path.to_str().unwrap(), SMALL)
}

/// Reads uncompressed layers.
fn read_layers(layers: &[Vec<u8>]) -> Inspected {
    let layers: Vec<(Vec<u8>, &[u8])> = layers.iter().map(|layer| (layer.clone(), &layer[..])).collect();
    read_with(Layout::new(&layers, json!({})).name(), SMALL).unwrap()
}

fn path(text: &str) -> RootfsPath {
    RootfsPath::parse(text).unwrap()
}

fn paths(image: &Inspected) -> Vec<String> {
    image.tree.iter().map(|(path, _)| path.to_string()).filter(|path| path != "/").collect()
}

fn text(image: &Inspected, at: &str) -> String {
    String::from_utf8(image.tree.read(&path(at), 1 << 20).unwrap()).unwrap()
}

fn oddities(image: &Inspected) -> Vec<Oddity> {
    image.oddities.keys().map(|(_, oddity)| *oddity).collect()
}

/// All causes of an error, in one text.
pub(crate) fn said(error: &crate::Error) -> String {
    let first: Option<&dyn std::error::Error> = Some(error);
    let causes = std::iter::successors(first, |cause| cause.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[test]
fn kinds_of_entries_and_contents_on_demand() {
    let made = Made::new().dir("./").dir("a/").file("a/f", b"text").symlink("a/l", "f").hardlink("a/h", "a/f");
    let bytes = made.member(b'0', "old/", 0o755, "", b"").bytes();
    for stored in [bytes.clone(), gzip(&bytes), zstd::encode_all(&bytes[..], 3).unwrap()] {
        let image = read_tar(&stored).unwrap();
        assert_eq!(paths(&image), ["/a", "/a/f", "/a/h", "/a/l", "/old"]);
        assert_eq!((text(&image, "/a/l"), text(&image, "/a/h")), ("text".to_owned(), "text".to_owned()));
        assert_eq!(image.tree.size(), 4, "a file with two names counts once");
        assert_eq!(oddities(&image), []);
    }
}

#[test]
fn long_names_are_those_of_pax_and_of_gnu() {
    let long = "d".repeat(150);
    let record = format!("{} path={long}\n", 150 + 10);
    let pax = Made::new().member(b'x', "x", 0o644, "", record.as_bytes()).file("short", b"1").bytes();
    let gnu = Made::new().member(b'L', "x", 0o644, "", format!("{long}\0").as_bytes()).file("short", b"1").bytes();
    for bytes in [pax, gnu] {
        assert_eq!(paths(&read_tar(&bytes).unwrap()), [format!("/{long}")]);
    }
}

#[test]
fn whiteouts_hide_what_lower_layers_have() {
    let lower = Made::new().dir("a/").file("a/gone", b"").file("a/kept", b"").dir("o/").file("o/x", b"").bytes();
    // The opaque mark may come after the layer's own entries of the directory.
    let upper = Made::new().dir("a/").file("a/.wh.gone", b"").dir("o/").file("o/new", b"").file("o/.wh..wh..opq", b"");
    let image = read_layers(&[lower, upper.bytes()]);
    assert_eq!(paths(&image), ["/a", "/a/kept", "/o", "/o/new"]);
}

#[test]
fn a_later_layer_replaces_and_a_directory_keeps_what_is_in_it() {
    let lower = Made::new().dir("a/").file("a/f", b"1").file("g", b"1").dir("d/").file("d/x", b"").bytes();
    let upper = Made::new().dir("a/").file("a/f", b"22").dir("g/").symlink("d", "a").bytes();
    let image = read_layers(&[lower, upper]);
    assert_eq!(paths(&image), ["/a", "/a/f", "/d", "/g"]);
    assert_eq!((text(&image, "/d/f").as_str(), image.tree.size()), ("22", 2));
}

#[test]
fn hostile_dotdot_is_passed_over() {
    let image = read_tar(&Made::new().file("../out", b"").file("a/../../out", b"").file("in", b"").bytes()).unwrap();
    assert_eq!(paths(&image), ["/in"]);
    assert_eq!(image.oddities[&(0, Oddity::LeadsUp)].count, 2);
}

#[test]
fn hostile_absolute_names_stay_inside() {
    let image = read_tar(&Made::new().file("/etc/passwd", b"x").bytes()).unwrap();
    assert_eq!(text(&image, "/etc/passwd"), "x");
    assert!(oddities(&image).contains(&Oddity::Absolute));
}

#[test]
fn hostile_links_lead_nowhere_outside() {
    let made = Made::new().symlink("up", "../../../../etc").symlink("abs", "/etc").file("abs/passwd", b"mine");
    let image = read_tar(&made.hardlink("hard", "../../etc/passwd").hardlink("none", "absent").bytes()).unwrap();
    // Both links lead to a missing directory, and the file behind one of them is not made.
    assert_eq!(paths(&image), ["/abs", "/up"]);
    let met = [Oddity::LinkLeadsOut, Oddity::LinkToNothing, Oddity::NotInDirectory];
    assert!(met.iter().all(|oddity| oddities(&image).contains(oddity)), "{:?}", image.oddities);
    assert!(image.tree.read(&path("/up/hostname"), 100).is_none());
}

#[test]
fn hostile_names_through_a_link_stay_in_the_tree() {
    let image = read_tar(&Made::new().dir("etc/").symlink("l", "/etc").file("l/f", b"x").bytes()).unwrap();
    assert_eq!(paths(&image), ["/etc", "/etc/f", "/l"]);
    assert!(oddities(&image).contains(&Oddity::ThroughLink));
}

#[test]
fn hostile_link_circles_end() {
    let image = read_tar(&Made::new().symlink("a", "b").symlink("b", "a").file("a/f", b"x").bytes()).unwrap();
    assert!(matches!(image.tree.find(&path("/a")), Found::Loop));
    assert_eq!(paths(&image), ["/a", "/b"]);
}

#[test]
fn hostile_devices_are_listed_and_never_made() {
    let made = Made::new().member(b'3', "null", 0o666, "", b"").member(b'6', "pipe", 0o666, "", b"");
    let image = read_tar(&made.bytes()).unwrap();
    assert_eq!(image.oddities[&(0, Oddity::Special)].count, 2);
    assert!(image.tree.read(&path("/null"), 10).is_none());
}

#[test]
fn hostile_duplicates_are_told_and_the_last_counts() {
    let image = read_tar(&Made::new().file("f", b"first").file("./f", b"last").bytes()).unwrap();
    assert_eq!(text(&image, "/f"), "last");
    assert_eq!(oddities(&image), [Oddity::Twice]);
}

#[test]
fn hostile_compressed_bombs_are_refused() {
    let zeros = vec![0; 3 << 20];
    let bytes = Made::new().file("f", &zeros).bytes();
    for stored in [gzip(&bytes), zstd::encode_all(&bytes[..], 3).unwrap()] {
        let error = read_tar(&stored).unwrap_err();
        assert!(said(&error).contains("expands to more than 20 times"), "{}", said(&error));
        let layout = Layout::new(&[(stored, &bytes)], json!({}));
        assert!(said(&read_with(layout.name(), SMALL).unwrap_err()).contains("expands to more than"));
    }
}

#[test]
fn hostile_sparse_members_are_refused() {
    let sparse = Made::new().member(b'S', "f", 0o644, "", b"").bytes();
    let pax = Made::new().member(b'x', "x", 0o644, "", b"28 GNU.sparse.realsize=9999\n").file("f", b"").bytes();
    for bytes in [sparse, pax] {
        let error = read_tar(&bytes).unwrap_err();
        assert!(said(&error).contains("sparse file"), "{}", said(&error));
    }
    let folder = tempfile::TempDir::new().unwrap();
    std::fs::File::create(folder.path().join("hole")).unwrap().set_len(1 << 40).unwrap();
    let error = read_with(folder.path().to_str().unwrap(), SMALL).unwrap_err();
    assert!(said(&error).contains("expands to more than"), "{}", said(&error));
}

#[test]
fn hostile_sizes_are_no_reason_to_allocate() {
    let mut header = tar::Header::new_ustar();
    header.as_old_mut().name[0] = b'f';
    header.as_old_mut().linkflag[0] = b'x';
    header.set_size(1 << 40);
    header.set_mode(0o644);
    header.set_cksum();
    let error = read_tar(header.as_bytes()).unwrap_err();
    assert!(said(&error).contains("extended header has 1099511627776 bytes"), "{}", said(&error));
    header.as_old_mut().linkflag[0] = b'0';
    header.set_cksum();
    assert!(said(&read_tar(header.as_bytes()).unwrap_err()).contains("cannot read"));
}

#[test]
fn hostile_numbers_of_entries_are_refused() {
    let made = (0..1100).fold(Made::new(), |made, at| made.file(&format!("f{at}"), b""));
    assert!(said(&read_tar(&made.bytes()).unwrap_err()).contains("more than 1000 entries"));
}

#[test]
fn hostile_headers_are_summed() {
    let mut bytes = Made::new().file("f", b"x").bytes();
    bytes[0] = b'g';
    assert!(said(&read_tar(&bytes).unwrap_err()).contains("checksum"));
}

#[test]
fn tampered_blobs_are_refused() {
    let layer = Made::new().file("f", b"x").bytes();
    let stored = gzip(&layer);
    let layout = Layout::new(&[(stored.clone(), &layer)], json!({}));
    assert!(read_with(layout.name(), SMALL).is_ok());

    // The same length, other bytes.
    let other = gzip(&Made::new().file("f", b"y").bytes());
    std::fs::write(layout.blob_of(&stored), &other).unwrap();
    let error = read_with(layout.name(), SMALL).unwrap_err();
    assert!(error.message().ends_with("has other bytes"), "{error}");

    std::fs::write(layout.blob_of(&stored), [&stored[..], b"more"].concat()).unwrap();
    assert!(said(&read_with(layout.name(), SMALL).unwrap_err()).contains("more than the"));
    std::fs::remove_file(layout.blob_of(&stored)).unwrap();
    assert!(said(&read_with(layout.name(), SMALL).unwrap_err()).contains("is missing"));
    // A symlink is no blob, whatever its target.
    std::os::unix::fs::symlink("/etc/hostname", layout.blob_of(&stored)).unwrap();
    assert!(read_with(layout.name(), SMALL).is_err());
}

#[test]
fn tampered_configurations_are_refused() {
    let layer = Made::new().file("f", b"x").bytes();
    let other = Made::new().file("f", b"y").bytes();
    // The configuration has the diff_id of another layer.
    let layout = Layout::new(&[(layer.clone(), &other)], json!({}));
    let error = read_with(layout.name(), SMALL).unwrap_err();
    assert!(error.message().contains("is not the one of the configuration"), "{error}");
    let layout = Layout::new(&[(layer.clone(), &layer)], json!({}));
    for blob in std::fs::read_dir(layout.folder.path().join("blobs/sha256")).unwrap() {
        let blob = blob.unwrap().path();
        let kept = std::fs::read(&blob).unwrap();
        std::fs::write(&blob, [&kept[..], b" "].concat()).unwrap();
        assert!(read_with(layout.name(), SMALL).is_err(), "{}", blob.display());
        std::fs::write(&blob, kept).unwrap();
    }
    assert!(read_with(layout.name(), SMALL).is_ok());
}

#[test]
fn a_layout_in_an_archive_is_the_same_image() {
    let layer = Made::new().dir("a/").file("a/f", b"x").bytes();
    let layout = Layout::new(&[(gzip(&layer), &layer)], json!({}));
    let folder = tempfile::TempDir::new().unwrap();
    let plain = folder.path().join("x.tar");
    let mut builder = tar::Builder::new(std::fs::File::create(&plain).unwrap());
    builder.append_dir_all(".", layout.folder.path()).unwrap();
    builder.finish().unwrap();
    let packed = folder.path().join("x.tar.gz");
    std::fs::write(&packed, gzip(&std::fs::read(&plain).unwrap())).unwrap();
    let expected = read_with(layout.name(), SMALL).unwrap();
    for archive in [plain, packed] {
        let image = read_with(archive.to_str().unwrap(), SMALL).unwrap();
        assert_eq!((image.digest.as_ref(), paths(&image)), (expected.digest.as_ref(), paths(&expected)));
        assert_eq!(text(&image, "/a/f"), "x");
    }
}

#[test]
fn an_archive_of_dockers_own_is_read_by_its_list() {
    let layer = Made::new().dir("a/").file("a/f", b"x").bytes();
    let config = json!({"architecture": "arm", "variant": "v7", "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [digest(&layer)]}});
    let config = config.to_string();
    let name = format!("{}.json", digest(config.as_bytes()).trim_start_matches("sha256:"));
    let list = json!([{"Config": name, "Layers": ["one/layer.tar"], "RepoTags": ["a:b"]}]).to_string();
    // Docker's archives had links among layers, and hexadecimal directories; no root filesystem begins with either.
    let made = |layer: &[u8]| {
        let made = Made::new().file("manifest.json", list.as_bytes());
        let long = made.member(b'L', "x", 0o644, "", format!("{name}\0").as_bytes());
        long.file("x", config.as_bytes()).file("two/layer.tar", layer).symlink("one/layer.tar", "../two/layer.tar")
    };
    let image = read_tar(&made(&layer).bytes()).unwrap();
    assert_eq!((image.platform.as_deref(), text(&image, "/a/f").as_str()), (Some("linux/arm/v7"), "x"));
    assert!(read_tar(&made(&Made::new().bytes()).bytes()).is_err(), "another layer than the diff_id says");
}

#[test]
fn a_directory_is_read_without_following_it() {
    let folder = tempfile::TempDir::new().unwrap();
    std::fs::create_dir(folder.path().join("a")).unwrap();
    std::fs::write(folder.path().join("a/f"), "x").unwrap();
    std::fs::hard_link(folder.path().join("a/f"), folder.path().join("a/h")).unwrap();
    std::os::unix::fs::symlink("/etc", folder.path().join("out")).unwrap();
    let image = read_with(folder.path().to_str().unwrap(), SMALL).unwrap();
    assert_eq!(paths(&image), ["/a", "/a/f", "/a/h", "/out"]);
    assert_eq!((image.tree.size(), image.tree.get(&path("/a/f")).unwrap().uid), (1, 0));
    std::fs::write(folder.path().join("a/f"), "other").unwrap();
    assert!(image.tree.read(&path("/a/f"), 10).is_none(), "it is another file by now");
}

#[test]
fn an_index_of_several_platforms_is_read_image_by_image() {
    let layers = [Made::new().file("one", b"1").bytes(), Made::new().file("two", b"22").bytes()];
    let layouts = ["amd64", "arm64"]
        .iter()
        .zip(&layers)
        .map(|(architecture, layer)| Layout::new(&[(gzip(layer), layer)], json!({"architecture": architecture})));
    let layouts: Vec<Layout> = layouts.collect();
    let mut manifests = Vec::new();
    for layout in &layouts {
        let index = std::fs::read(layout.folder.path().join("index.json")).unwrap();
        let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
        manifests.push(index["manifests"][0].clone());
        for blob in std::fs::read_dir(layout.folder.path().join("blobs/sha256")).unwrap() {
            let blob = blob.unwrap();
            let bytes = std::fs::read(blob.path()).unwrap();
            std::fs::write(layouts[0].folder.path().join("blobs/sha256").join(blob.file_name()), bytes).unwrap();
        }
    }
    // BuildKit lists attestations in this way, and a layout lists a second tag of an image so.
    let mut attestation = manifests[0].clone();
    attestation["platform"] = json!({"os": "unknown", "architecture": "unknown"});
    manifests.extend([attestation, manifests[1].clone()]);
    let nested = json!({"schemaVersion": 2, "manifests": manifests}).to_string();
    let nested = layouts[0].blob(nested.as_bytes(), crate::image::manifest::INDEX);
    layouts[0].write("index.json", json!({"schemaVersion": 2, "manifests": [nested]}).to_string().as_bytes());

    let stop = AtomicBool::new(false);
    let access = Access { limits: SMALL, platform: None, insecure: Vec::new(), interrupted: &stop };
    let source = Source::open(layouts[0].name(), &access).unwrap();
    assert_eq!((source.count(), source.platform(0), source.platform(1)), (2, Some("linux/amd64"), Some("linux/arm64")));
    assert_eq!(paths(&source.read(0).unwrap()), ["/one"]);
    assert_eq!(paths(&source.read(1).unwrap()), ["/two"]);
}

#[test]
fn a_platform_is_chosen_or_all_are_read() {
    let layer = Made::new().file("f", b"x").bytes();
    let layout = Layout::new(&[(layer.clone(), &layer)], json!({}));
    let stop = AtomicBool::new(false);
    let access = |platform: &str| Access {
        limits: SMALL,
        platform: Some(platform.to_owned()),
        insecure: Vec::new(),
        interrupted: &stop,
    };
    assert_eq!(Source::open(layout.name(), &access("linux/amd64")).unwrap().count(), 1);
    let error = Source::open(layout.name(), &access("linux/arm64")).unwrap_err();
    assert_eq!(error.details(), ["it has linux/amd64"]);
}
