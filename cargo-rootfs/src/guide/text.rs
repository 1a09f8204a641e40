//! Pages as plain text for a terminal, and as manual pages.
//!
//! It supports only the Markdown that the guide uses: headings, paragraphs, lists, tables, fenced blocks.

/// The text for a terminal: Markdown without links to files, without pictures, and without comments for the tests.
pub(crate) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut is_blank = false;
    for line in lines(text) {
        let blank = line.is_empty();
        if !(blank && is_blank) {
            plain.push_str(&line);
            plain.push('\n');
        }
        is_blank = blank;
    }
    plain.truncate(plain.trim_end().len());
    plain + "\n"
}

/// The manual page of the page `name`, in roff (man(7)).
pub(crate) fn manual(name: &str, about: &str, text: &str, source: &str) -> String {
    let title = format!("cargo-rootfs-{name}");
    let about = escaped(about);
    let mut roff = format!(
        ".TH {} 7 \"\" \"{source}\" \"Cargo\"\n.SH NAME\n{title} \\- {about}\n.SH DESCRIPTION\n",
        title.to_uppercase()
    );
    let mut is_code = false;
    for line in lines(text) {
        if line.starts_with("```") {
            is_code = !is_code;
            roff.push_str(if is_code { ".PP\n.RS 4\n.nf\n" } else { ".fi\n.RE\n" });
        } else if is_code {
            roff.push_str(&format!("{}\n", verbatim(&line)));
        } else if let Some(heading) = line.strip_prefix("## ") {
            roff.push_str(&format!(".SH {}\n", escaped(&heading.to_uppercase())));
        } else if line.starts_with("# ") {
            // The title already contains the name.
        } else if line.is_empty() {
            roff.push_str(".PP\n");
        } else if let Some(item) = line.strip_prefix("- ") {
            roff.push_str(&format!(".IP \\(bu 2\n{}\n", escaped(item)));
        } else if line.starts_with("| ---") {
            // The line below a table's head.
        } else if let Some(row) = line.strip_prefix('|') {
            let cells: Vec<&str> = row.trim_end_matches('|').split(" | ").map(str::trim).collect();
            roff.push_str(&format!(".TP\n{}\n{}\n", escaped(cells[0]), escaped(&cells[1..].join(" | "))));
        } else {
            roff.push_str(&format!("{}\n", escaped(line.trim_start())));
        }
    }
    roff
}

/// The lines of a page that readers see.
fn lines(text: &str) -> impl Iterator<Item = String> {
    let mut is_code = false;
    text.lines().filter_map(move |line| {
        if line.starts_with("```") {
            is_code = !is_code;
            return Some(line.to_owned());
        }
        let is_definition =
            line.starts_with('[') && [".md", ".png"].iter().any(|it| line.ends_with(it)) && line.contains("]: ");
        match line {
            _ if is_code => Some(line.to_owned()),
            _ if is_definition || line.starts_with("<!--") || line.starts_with("![") => None,
            _ => Some(without_links(line)),
        }
    })
}

/// `[Images][images]` becomes "Images (`cargo rootfs help images`)", and `[ko](https://ko.build)` "ko (https://ko.build)".
fn without_links(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('[') {
        let link = after.split_once(']').and_then(|(name, after)| {
            let (open, close) = if after.starts_with('[') { ('[', ']') } else { ('(', ')') };
            let (target, after) = after.strip_prefix(open)?.split_once(close)?;
            Some((name, open, target, after))
        });
        out.push_str(before);
        match link {
            Some((name, open, target, after)) if !before.ends_with('`') => {
                out.push_str(name);
                out.push_str(&match open {
                    '[' => format!(" (`cargo rootfs help {target}`)"),
                    _ => format!(" ({target})"),
                });
                rest = after;
            }
            _ => {
                out.push('[');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

/// Prose for roff, without the marks around code.
fn escaped(text: &str) -> String {
    verbatim(&text.replace('`', ""))
}

/// Text that roff prints verbatim.
fn verbatim(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq").replace('`', "\\(ga");
    if text.starts_with('.') { format!("\\&{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::super::{PAGES, page};
    use super::*;

    const PAGE: &str = "# Title\n\n<!-- console: in=x -->\n```console\n$ a [b][c]\n```\n\n\nSee [Images][images], `[x]` and \
                        [ko](https://ko.build).\n\n| a | b |\n| --- | --- |\n| `--c` | d |\n\n[images]: images.md\n";

    #[test]
    fn a_page_is_readable_without_its_links() {
        let expected = "# Title\n\n```console\n$ a [b][c]\n```\n\nSee Images (`cargo rootfs help images`), `[x]` and ko \
                        (https://ko.build).\n\n| a | b |\n| --- | --- |\n| `--c` | d |\n";
        assert_eq!(plain(PAGE), expected);
    }

    #[test]
    fn pictures_are_for_the_documentation() {
        assert_eq!(plain("a\n\n![b][c]\n\nd\n\n[c]: c.png\n"), "a\n\nd\n");
    }

    #[cfg(feature = "push")]
    #[test]
    fn the_documentation_has_the_picture_that_lies_beside_the_page() {
        use base64::Engine;
        let picture = base64::engine::general_purpose::STANDARD.encode(include_bytes!("report.png"));
        assert!(picture == include_str!("report.base64"), "base64 -w0 report.png > report.base64");
    }

    #[test]
    fn a_manual_page_has_blocks_and_tables() {
        let roff = manual("x", "an-about", PAGE, "s");
        assert!(
            roff.starts_with(".TH CARGO-ROOTFS-X 7 \"\" \"s\" \"Cargo\"\n.SH NAME\ncargo-rootfs-x \\- an\\-about\n")
        );
        assert!(roff.contains(".nf\n$ a [b][c]\n.fi\n"), "{roff}");
        assert!(roff.contains(".TP\n\\-\\-c\nd\n"), "{roff}");
    }

    #[test]
    fn links_lead_to_pages() {
        for one in PAGES {
            assert!(one.text.starts_with("# "), "{}", one.name);
            for line in one.text.lines().filter(|line| line.ends_with(".md") && line.starts_with('[')) {
                let (name, file) = line.trim_start_matches('[').split_once("]: ").unwrap();
                assert!(file == format!("{name}.md") && page(name).is_some(), "{}: {line}", one.name);
            }
            let used = one.text.split("][").skip(1).filter_map(|after| after.split(']').next());
            for name in used {
                let is_defined =
                    ["md", "png"].iter().any(|it| one.text.contains(&format!("\n[{name}]: {name}.{it}\n")));
                assert!(is_defined, "{}: {name}", one.name);
            }
        }
    }
}
