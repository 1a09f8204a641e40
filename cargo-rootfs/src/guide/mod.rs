//! The guide, by task. `cargo rootfs help TOPIC` prints the same pages, and `cargo rootfs man TOPIC` makes manual pages.

#[cfg(feature = "cli")]
mod text;

#[cfg(feature = "cli")]
pub(crate) use text::{manual, plain};

/// One page.
#[derive(Debug)]
pub struct Page {
    /// The topic as typed.
    pub name: &'static str,
    /// Its contents, in a line.
    pub about: &'static str,
    /// The page, in Markdown.
    pub text: &'static str,
}

/// The page of this topic.
#[must_use]
pub fn page(name: &str) -> Option<&'static Page> {
    PAGES.iter().find(|page| page.name == name)
}

// Links between pages lead to files in the text, and to modules in the documentation: the first definition counts.
macro_rules! links {
    () => {
        "\
[quick-start]: self::quick_start
[tools]: self::tools
[targets]: self::targets
[images]: self::images
[debugging]: self::debugging
[configuration]: self::configuration
[build-script]: self::build_script
[templates]: self::templates
[pipelines]: self::pipelines
[reproducible]: self::reproducible
[security-updates]: self::security_updates
[limits]: self::limits
[questions]: self::questions

"
    };
}

// A picture is a file in the text. The documentation has no files beside a page, so there it is embedded.
macro_rules! picture {
    ("debugging") => {
        concat!("[report]: data:image/png;base64,", include_str!("report.base64"), "\n")
    };
    ($other:literal) => {
        ""
    };
}

macro_rules! pages {
    ($($module:ident $name:tt $about:literal)*) => {
        /// All pages, in the order in which a user needs them.
        pub const PAGES: &[Page] = &[$(Page {
            name: $name,
            about: $about,
            text: include_str!(concat!($name, ".md")),
        }),*];
        $(
            #[doc = concat!(links!(), picture!($name), include_str!(concat!($name, ".md")))]
            pub mod $module {}
        )*
    };
}

pages! {
    quick_start "quick-start" "From a project to an archive, a directory and an image"
    tools "tools" "Tools, and everything that they need beyond their libraries"
    targets "targets" "Other architectures, sysroots and cross builds"
    images "images" "Images, archives and registries"
    debugging "debugging" "tree, why, check, trace and run"
    configuration "configuration" "Keys of Cargo.toml, names of outputs, environment, exit codes"
    build_script "build-script" "A userland that a program embeds"
    templates "templates" "Skeletons, and rules of your own"
    pipelines "pipelines" "From a tag to images for every architecture"
    reproducible "reproducible" "The same bytes from the same files"
    security_updates "security-updates" "Rebuilding for security updates"
    limits "limits" "Known limits"
    questions "questions" "Frequent questions"
}
