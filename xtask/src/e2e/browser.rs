//! A headless Chromium, driven through pipes by the DevTools protocol: pages, clicks, keys, and messages of the
//! console.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use camino::Utf8Path;
use serde_json::{Value, json};

use super::lab::Lab;
use crate::process::{command, until};
use crate::stage::need;

/// The time limit of an answer on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A browser with one page. It ends with its scenario.
pub(super) struct Browser {
    process: duct::Handle,
    to: File,
    from: Receiver<Value>,
    session: Option<String>,
    last: u64,
    /// Errors of the console, and requests beyond the page itself.
    pub(super) complaints: Vec<String>,
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.process.kill();
    }
}

impl Browser {
    pub(super) fn start(lab: &Lab) -> Result<Self> {
        need("chromium")?;
        let (to, from, profile) = (lab.path("to-browser"), lab.path("from-browser"), lab.folder("profile")?);
        command(["mkfifo", to.as_str(), from.as_str()]).run()?;
        // Each end is opened for reading and writing, so that neither open blocks.
        let open = |path: &Utf8Path| {
            OpenOptions::new().read(true).write(true).open(path).with_context(|| format!("open {path}"))
        };
        let (write, read) = (open(&to)?, open(&from)?);
        let start = format!(
            "exec chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run \
             --user-data-dir={profile} --remote-debugging-pipe about:blank 3<{to} 4>{from}"
        );
        let process = duct::cmd!("sh", "-c", start).stdout_null().stderr_null().unchecked().start()?;
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(read);
            let mut message = Vec::new();
            while reader.read_until(0, &mut message).is_ok_and(|count| count > 0) {
                message.pop();
                let parsed = serde_json::from_slice(&message).unwrap_or(Value::Null);
                if sender.send(parsed).is_err() {
                    return;
                }
                message.clear();
            }
        });
        let mut browser = Self { process, to: write, from: receiver, session: None, last: 0, complaints: Vec::new() };
        let page = browser.call("Target.createTarget", json!({"url": "about:blank"}))?;
        let attached = json!({"targetId": page["targetId"], "flatten": true});
        let attached = browser.call("Target.attachToTarget", attached)?;
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}))?;
        }
        browser.size(1400, 1000)?;
        Ok(browser)
    }

    /// Sets the size of the page, in pixels.
    pub(super) fn size(&mut self, width: u32, height: u32) -> Result<()> {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", size).map(drop)
    }

    /// A picture of the page as a PNG file.
    pub(super) fn picture(&mut self) -> Result<Vec<u8>> {
        let picture = self.call("Page.captureScreenshot", json!({"format": "png"}))?;
        let text = picture["data"].as_str().context("no picture")?.to_owned();
        let decoded = duct::cmd!("base64", "--decode").stdin_bytes(text).stdout_capture().run();
        Ok(decoded.context("decode the picture")?.stdout)
    }

    fn call(&mut self, method: &str, parameters: Value) -> Result<Value> {
        self.last += 1;
        let mut message = json!({"id": self.last, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        self.to.write_all(format!("{message}\0").as_bytes()).context("write to the browser")?;
        loop {
            let answer = self.from.recv_timeout(PATIENCE).with_context(|| format!("no answer to {method}"))?;
            if answer["id"] == self.last {
                ensure!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return Ok(answer["result"].clone());
            }
            self.hear(&answer);
        }
    }

    fn hear(&mut self, event: &Value) {
        let details = &event["params"];
        let complaint = match event["method"].as_str().unwrap_or_default() {
            "Runtime.exceptionThrown" => Some(details["exceptionDetails"].to_string()),
            "Runtime.consoleAPICalled" if details["type"] != "log" => Some(details["args"].to_string()),
            "Log.entryAdded" if details["entry"]["level"] == "error" => Some(details["entry"].to_string()),
            "Network.requestWillBeSent" => {
                let url = details["request"]["url"].as_str().unwrap_or_default();
                (!url.starts_with("file:") && !url.starts_with("about:")).then(|| format!("it asks for {url}"))
            }
            _ => None,
        };
        self.complaints.extend(complaint);
    }

    /// Opens a file, and waits for its script.
    pub(super) fn open(&mut self, path: &Utf8Path) -> Result<()> {
        self.call("Page.navigate", json!({"url": format!("file://{path}")}))?;
        let is_ready = |browser: &mut Self| {
            let ready = browser.ask("document.documentElement.dataset.ready || ''");
            Ok(ready.is_ok_and(|ready| ready == "1"))
        };
        until("the page is drawn", || is_ready(self))
    }

    /// The value of an expression in the page.
    pub(super) fn ask(&mut self, expression: &str) -> Result<Value> {
        let answer = self.call("Runtime.evaluate", json!({"expression": expression, "returnByValue": true}))?;
        if !answer["exceptionDetails"].is_null() {
            bail!("`{expression}`: {}", answer["exceptionDetails"]);
        }
        Ok(answer["result"]["value"].clone())
    }

    /// Fails unless the expression is true.
    pub(super) fn holds(&mut self, expression: &str) -> Result<()> {
        let value = self.ask(expression)?;
        ensure!(value == true, "`{expression}` is {value}");
        Ok(())
    }

    /// Clicks in the middle of the first element that the selector matches.
    pub(super) fn click(&mut self, selector: &str) -> Result<()> {
        let place = format!(
            "(() => {{ const it = document.querySelector({}); it.scrollIntoView({{ block: 'center' }}); \
             const box = it.getBoundingClientRect(); \
             return [box.x + Math.min(box.width / 2, 40), box.y + Math.min(box.height / 2, 12)]; }})()",
            json!(selector)
        );
        let place = self.ask(&place)?;
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({"type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1});
            self.call("Input.dispatchMouseEvent", event)?;
        }
        Ok(())
    }

    /// Presses a key, such as `ArrowDown` or `t`.
    pub(super) fn press(&mut self, key: &str) -> Result<()> {
        let text = if key.chars().count() == 1 { key } else { "" };
        let down = if text.is_empty() { "rawKeyDown" } else { "keyDown" };
        let code = match key {
            "Enter" => 13,
            "Escape" => 27,
            "ArrowLeft" => 37,
            "ArrowUp" => 38,
            "ArrowRight" => 39,
            "ArrowDown" => 40,
            _ => u32::from(key.to_ascii_uppercase().as_bytes()[0]),
        };
        self.call(
            "Input.dispatchKeyEvent",
            json!({"type": down, "key": key, "text": text, "windowsVirtualKeyCode": code}),
        )?;
        self.call("Input.dispatchKeyEvent", json!({"type": "keyUp", "key": key, "windowsVirtualKeyCode": code}))?;
        Ok(())
    }

    /// Types a text into the focused element.
    pub(super) fn write(&mut self, text: &str) -> Result<()> {
        self.call("Input.insertText", json!({"text": text})).map(drop)
    }
}
