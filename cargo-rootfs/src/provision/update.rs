//! Updates the versions in a project's lock.

use super::request::{May, Pinned, Request, Step, Stop, Watch};
use super::{project_lock, provide};
use crate::error::{Error, Result};
use crate::target::Machine;

/// Chooses the packages of all sysroots of a project again, and makes these sysroots.
pub(crate) fn update(pinned: &Pinned, may: May, watch: &mut dyn Watch, stop: Stop<'_>) -> Result<()> {
    let lock = project_lock(pinned)?;
    if lock.sections.is_empty() {
        return Err(Error::failed("this project has no `rootfs.lock`, and so nothing to update")
            .help("it is written where a sysroot is made of packages: --sysroot auto, or debian:bookworm"));
    }
    for section in &lock.sections {
        let machine = Machine::of_debian(&section.architecture)
            .ok_or_else(|| Error::failed(format!("`{}` is not a known architecture", section.architecture)))?;
        let (hopes, wants): (Vec<_>, Vec<_>) = section.wants.keys().partition(|want| want.is_recommended());
        let request = Request {
            suite: section.suite.clone(),
            machine,
            wants: wants.into_iter().cloned().collect(),
            hopes: hopes.into_iter().cloned().collect(),
            pinned: pinned.clone(),
            may,
            is_auto: section.is_auto,
        };
        provide(&request, watch, stop)?;
        let renewed = project_lock(pinned)?;
        let changes = renewed.find(&section.suite, &section.architecture).map(|new| new.changes(section));
        for change in changes.into_iter().flatten() {
            watch.step(Step::Changed(&change, &section.suite, &section.architecture));
        }
    }
    Ok(())
}
