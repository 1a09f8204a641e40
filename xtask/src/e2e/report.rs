//! The size report in a browser: sums, clicks and keys, and no messages on the console.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::browser::Browser;
use super::lab::Lab;
use crate::process::command;
use crate::stage::need;
use crate::{bench, host};

/// Every grouping sums up to the image; tiles, tree, search and theme work by mouse, and by keyboard alone.
pub(super) fn in_a_browser(lab: &Lab) -> Result<()> {
    let hello = lab.fixture("hello")?;
    let page = lab.path("report.html");
    let content = ["--with", "bash,ls,git"];
    let done = lab.rootfs(&hello, ["report", "--output", page.as_str()]).args(content).run()?;
    ensure!(done.line()? == page, "{}", done.report("the path on standard output"));
    let again = lab.path("again.html");
    lab.rootfs(&hello, ["report", "--output", again.as_str()]).args(content).run()?;
    ensure!(fs_err::read(&page)? == fs_err::read(&again)?, "the same rootfs gives another page");
    let sizes = lab.rootfs(&hello, ["tree", "--sizes", "--message-format", "json"]).args(content).run()?;
    let total: Value = serde_json::from_str(sizes.stdout.lines().last().context("sizes")?)?;
    let total = total["total"].as_u64().context("the total")?;

    let mut browser = Browser::start(lab)?;
    browser.open(&page)?;
    browser.holds(&format!("Number(document.querySelector('#tiles dd[data-bytes]').dataset.bytes) === {total}"))?;
    let sum =
        "[...document.querySelectorAll('#map > [data-top]')].reduce((sum, it) => sum + Number(it.dataset.bytes), 0)";
    for by in ["layer", "origin", "package"] {
        browser.click(&format!("#groups [data-by={by}]"))?;
        browser.holds(&format!("document.querySelector('#groups [data-by={by}]').ariaChecked === 'true'"))?;
        browser.holds(&format!("{sum} === {total}"))?;
    }

    // Into a group and out again, by mouse and by keys.
    let depth = "document.querySelectorAll('#crumbs li').length";
    browser.click("#map > .group > .label")?;
    browser.holds(&format!("{depth} === 2 && document.activeElement.getAttribute('role') === 'button'"))?;
    browser.press("Escape")?;
    browser.holds(&format!("{depth} === 1 && {sum} === {total}"))?;
    browser.press("1")?;
    browser.press("Enter")?;
    browser.holds(&format!("{depth} === 2"))?;
    browser.ask("window.before = document.activeElement, 0")?;
    for key in ["ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp"] {
        browser.press(key)?;
    }
    browser.holds("document.activeElement.closest('#map') !== null")?;
    browser.press("Escape")?;

    // A file's page describes it, and leads to the files that need it.
    browser.click("#files tbody button")?;
    browser.holds("document.querySelector('#detail h3').textContent === document.querySelector('#files tbody button').textContent")?;
    browser.holds("document.querySelector('#detail ol li') !== null")?;

    let first = "document.querySelector('#needs > [role=treeitem]')";
    browser.ask(&format!("{first}.focus(), 0"))?;
    browser.press("ArrowRight")?;
    browser.holds(&format!("{first}.ariaExpanded === 'true' && {first}.querySelector('li') !== null"))?;
    browser.press("ArrowRight")?;
    browser.holds("document.activeElement.getAttribute('aria-level') === '2'")?;
    browser.press("ArrowLeft")?;
    browser.press("ArrowLeft")?;
    browser.holds(&format!("{first}.ariaExpanded === 'false' && document.activeElement === {first}"))?;

    browser.press("/")?;
    browser.write("libc.so")?;
    browser
        .holds("[...document.querySelectorAll('#files tbody tr')].every(row => row.textContent.includes('libc.so'))")?;
    browser.holds("document.querySelectorAll('#files tbody tr').length > 0")?;
    browser.press("Escape")?;
    browser.holds("document.querySelectorAll('#files tbody tr').length > 5")?;
    let paper = "getComputedStyle(document.documentElement).backgroundColor";
    let light = browser.ask(paper)?;
    browser.press("t")?;
    ensure!(browser.ask(paper)? != light, "the theme stays");
    browser.click("#theme")?;
    ensure!(browser.ask(paper)? == light, "the theme does not come back");
    ensure!(browser.complaints.is_empty(), "{:#?}", browser.complaints);
    Ok(())
}

/// The report of the bench's large tools opens and sums up, in a printed time. A picture of a small report is in the
/// guide; `SNAPSHOTS=overwrite` writes it anew.
pub(super) fn of_many_tools(lab: &Lab) -> Result<()> {
    let (page, tools) = (lab.path("large.html"), bench::large_tools::paths()?);
    for tool in &tools {
        need(tool)?;
    }
    let words = ["report", "--tools-only", "--with", &tools.join(","), "--output", page.as_str()];
    let binary = lab.path("bin/cargo-rootfs");
    let report = |words: &[&str]| command([binary.as_str(), "rootfs"]).args(words.iter().copied()).run();
    report(&words)?;
    let mut browser = Browser::start(lab)?;
    let begun = Instant::now();
    browser.open(&page)?;
    let bytes = fs_err::metadata(&page)?.len();
    println!("    {} tools, a page of {bytes} bytes: open after {:.2} s", tools.len(), begun.elapsed().as_secs_f64());
    let sum =
        "[...document.querySelectorAll('#map > [data-top]')].reduce((sum, it) => sum + Number(it.dataset.bytes), 0)";
    browser.holds(&format!("{sum} === Number(document.querySelector('#tiles dd[data-bytes]').dataset.bytes)"))?;
    ensure!(browser.complaints.is_empty(), "{:#?}", browser.complaints);

    let page = lab.path("small.html");
    report(&["report", "--tools-only", "--with", "bash,curl,git,jq", "--output", page.as_str()])?;
    browser.size(1100, 680)?;
    browser.open(&page)?;
    let picture = browser.picture()?;
    ensure!(picture.starts_with(b"\x89PNG"), "no picture");
    if std::env::var("SNAPSHOTS").is_ok_and(|value| value == "overwrite") {
        let path = host::repo().join("cargo-rootfs/src/guide/report.png");
        fs_err::write(&path, picture)?;
    }
    Ok(())
}
