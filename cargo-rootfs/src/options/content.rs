//! CONTENT: options and keys of the contents besides the project.

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use super::config::{Reader, parse_priority, parse_runtime, parse_variants, parse_word, word};
use super::layered::layered;
use super::values::{parse_folder, parse_include};
use crate::layout::{Include, Licenses, Records, Variants};
use crate::path::RootfsPath;
use crate::policy::Row;
use crate::resolve::Priority;
use crate::runtime::{Rule, Runtime};

layered! {
    /// CONTENT: the contents besides the project. The same type holds a layer of configuration.
    #[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
    #[command(next_help_heading = "Content")]
    struct ContentArgs {
        /// Tools, by name (looked up in the sysroot's PATH) or absolute path; comma-separated, repeatable
        #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = NonEmptyStringValueParser::new())]
        with: Option<Vec<String>> = list("with", Reader::list);
        /// Shared objects, by soname, that are opened at run time; comma-separated, repeatable
        #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = NonEmptyStringValueParser::new())]
        with_lib: Option<Vec<String>> = list("with-lib", Reader::list);
        /// Libraries that the target provides, by soname or pattern, as `libcuda.so.1` or `libnvidia-*`: they are neither
        /// packed nor missing; comma-separated, repeatable
        #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = NonEmptyStringValueParser::new())]
        allow_missing: Option<Vec<String>> = list("allow-missing", Reader::list);
        /// Packages of the sysroot's distribution, whole, with their dependencies; comma-separated, repeatable
        ///
        /// Packages are read from the database of dpkg, apk or pacman. Documentation, translations, secrets and merely
        /// recommended packages are left out.
        #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = NonEmptyStringValueParser::new())]
        with_package: Option<Vec<String>> = list("with-package", Reader::list);
        /// Packages of the sysroot's distribution for the build alone, such as `libssl-dev`; comma-separated, repeatable
        ///
        /// They are added to a sysroot made of packages, for headers and libraries to link with. They are not packed
        /// into the rootfs.
        #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = NonEmptyStringValueParser::new(), help_heading = "Compilation options")]
        build_package: Option<Vec<String>> = list("build-package", Reader::list);
        /// Least priority of the dlopen notes that are followed [default: recommended]
        ///
        /// dlopen notes rate the need for a library. `tree` shows the libraries that the notes add and leave out.
        #[arg(long, value_name = "PRIORITY")]
        dlopen: Option<Priority> = value("dlopen", word(parse_priority));
        /// Variants of libraries for particular hardware (glibc-hwcaps): all, or none [default: none]
        #[arg(long, value_name = "VARIANTS")]
        hwcaps: Option<Variants> = value("hwcaps", word(parse_variants));
        /// Source of files that tools need beyond their closures: `auto`, `rules`, `packages` or `none` [default: auto]
        ///
        /// Rules list the plugins, data and helpers of a tool or a library. `why` names the rule. With `packages` the
        /// other files of each tool's own package are packed too, except documentation.
        #[arg(long, value_name = "RUNTIME")]
        runtime: Option<Runtime> = value("runtime", word(parse_runtime));
        /// Records of the files' packages, for scanners: `auto` (where the sysroot has a database of packages) or `none`
        /// [default: auto]
        ///
        /// Debian's and Ubuntu's are in /var/lib/dpkg/status.d. Each lists only the packed files.
        #[arg(long, value_name = "RECORDS")]
        records: Option<Records> = value("records", word(parse_word));
        /// Licences of these packages, and the common licences that they name: `auto` or `none` [default: auto]
        #[arg(long, value_name = "LICENSES")]
        licenses: Option<Licenses> = value("licenses", word(parse_word));
        /// Locales besides C.UTF-8, as `de_DE.UTF-8`; comma-separated, repeatable
        #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = NonEmptyStringValueParser::new())]
        locale: Option<Vec<String>> = list("locale", Reader::list);
        /// Rules of the configuration; the command line has none.
        #[arg(skip)]
        rules: Option<Vec<Rule>> = list("rule", Reader::rules);
        /// Rows of policy of the configuration; the command line has none.
        #[arg(skip)]
        policy: Vec<Row> = rows("secret" | "documentation" | "noise", Reader::policy);
        /// File or directory to pack, with the needs of its ELF files (repeatable)
        ///
        /// MODE is octal; directories are executable for users who may read them. Without MODE files become 0644, or
        /// 0755 if they are executable, and directories 0755; the umask has no effect. Secrets of mode 0600 keep it.
        /// UID and GID are numbers. If DST ends in a slash, SRC is packed into that directory.
        #[arg(long, value_name = "SRC:DST[:MODE[:UID:GID]]", value_parser = parse_include)]
        include: Option<Vec<Include>> = list("include", Reader::includes);
        /// The skeleton: `none`, `base` (the default), `web`, or a directory of your own (a value with a slash)
        #[arg(long, value_name = "NAME|DIR", value_parser = NonEmptyStringValueParser::new())]
        template: Option<String> = value("template", Reader::path_or_word);
        /// Source of libraries and tools: a directory (a value with a slash), a distribution's packages (`debian:trixie`),
        /// or `auto`: `/` for the host's architecture, else the best one found for the target
        #[arg(long, value_name = "DIR|auto|DISTRO:SUITE", value_parser = NonEmptyStringValueParser::new())]
        sysroot: Option<String> = value("sysroot", Reader::path_or_word);
        /// Extra directories to search for libraries, as in LD_LIBRARY_PATH (which is never read); repeatable
        #[arg(long, value_name = "DIRS")]
        library_path: Option<Vec<String>> = list("library-path", Reader::library_path);
        /// Directory of the project's binaries [default: /usr/local/bin]
        #[arg(long, value_name = "DIR", value_parser = parse_folder)]
        install_dir: Option<RootfsPath> = value("install-dir", word(parse_folder));
    }
}
