//! The size report in a browser: sums, clicks and keys, and a console without complaints.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::browser::Browser;
use super::lab::Lab;

/// Every grouping sums up to the image; tiles, tree, search and theme work by mouse and by keyboard alone.
pub(super) fn in_a_browser(lab: &Lab) -> Result<()> {
    let hello = lab.fixture("hello")?;
    let page = lab.path("report.html");
    let content = ["--with", "bash,ls,git"];
    let done = lab.rootfs(&hello, ["report", "--output", page.as_str()]).args(content).run()?;
    ensure!(done.line()? == page, "{}", done.report("the path on standard output"));
    let again = lab.path("again.html");
    lab.rootfs(&hello, ["report", "--output", again.as_str()]).args(content).run()?;
    ensure!(std::fs::read(&page)? == std::fs::read(&again)?, "the same rootfs gives another page");
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

    // A file tells what it is, and leads on to what needs it.
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
