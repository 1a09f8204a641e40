//! The second stage computes closures of the seeds, and additions of rules and packages, until no new file appears. The
//! third stage puts everything in its place.

use std::collections::BTreeSet;

use super::accounts::{self, Accounts};
use super::place::{IfThere, Layout};
use super::root::Root;
use super::runtime::{Runtime, Weigh};
use super::scripts::{self, Script};
use super::seeds::{Seeds, given};
use super::take::Taken;
use super::variants::{self, Variant};
use super::worklist::{Worked, Worklist};
use super::{
    Assembly, Brief, Notices, Planned, Refusal, Variants, closures, configuration, includes, locales, opened, packaged,
    records, skeleton, suggestions, tmpfiles,
};
use crate::error::Warning;
use crate::packages;
use crate::path::RootfsPath;
use crate::policy::is_of_host;
use crate::report::{by_library, missing_error};
use crate::resolve::{Closure, FileId};
use crate::runtime;
use crate::shortage::{Fault, Shortage};
use crate::sysroot::Sysroot;
use crate::target::Machine;

/// The seeds with everything that they bring.
pub(super) struct Gathered<'b> {
    seeds: Seeds,
    /// The roots with a closure, and the closure of each.
    roots: Vec<Root>,
    closures: Vec<Closure>,
    variants: Vec<Variant>,
    /// The roots without a closure of their own: scripts, and further names of roots that have one.
    others: Vec<Root>,
    scripts: Vec<Script>,
    wishes: BTreeSet<Shortage>,
    accounts: Accounts,
    packages: Taken,
    rules: Option<Runtime<'b>>,
}

impl Seeds {
    /// Computes everything that the seeds bring. Fails with all faults so far, including those of the seeds.
    pub(super) fn gather<'b>(
        mut self,
        view: &mut Sysroot,
        brief: Brief<'b>,
        notices: &mut Notices,
    ) -> Result<Gathered<'b>, Refusal> {
        let Brief { target, content, policy, installed, .. } = brief;
        let Notices { warnings, faults } = notices;
        let machine = target.machine();
        let mut rules = match content.runtime {
            runtime::Runtime::None => None,
            word => {
                let weigh = match word {
                    runtime::Runtime::Auto => Some(Weigh::Take),
                    runtime::Runtime::Rules => Some(Weigh::Tell),
                    _ => None,
                };
                Some(Runtime::new(view, brief, weigh))
            }
        };
        let mut worklist = Worklist::new(view, &mut self.resolvers, target);
        worklist.ask(std::mem::take(&mut self.roots));
        let widened = if content.runtime == runtime::Runtime::Packages { worklist.tools() } else { Vec::new() };
        let packaged = packaged::take(worklist.view, policy, installed, &content.packages, &widened);
        worklist.bring(packaged.roots);
        if let Some(rules) = &mut rules {
            let data = includes::files(&self.includes).into_iter().chain(packaged.taken.paths().cloned());
            rules.run(&mut worklist, &data.collect::<Vec<_>>());
        }
        let accounts = match &rules {
            Some(rules) => {
                let taken = packaged.taken.paths().chain(rules.taken()).chain(rules.services());
                accounts::find(&mut worklist, &taken.cloned().collect::<Vec<_>>())
            }
            None => Accounts::default(),
        };
        let carriers = carriers(&mut worklist);
        let left_out: Vec<Warning> = worklist.worked.warnings().collect();
        let Worked { roots, mut closures, others, scripts, faults: refused, wishes, .. } = worklist.worked;
        if let Some(rules) = &mut rules {
            rules.say(faults, warnings);
        }
        faults.extend(packaged.faults);
        faults.extend(refused);
        warnings.extend(packaged.warnings);
        warnings.extend(packaged.taken.warnings());
        warnings.extend(left_out);
        warnings.extend(carriers);
        warnings.extend(scripts::bare(&scripts));
        let variants = match content.hwcaps {
            Variants::All if faults.is_empty() => variants::find(view, &mut self.resolvers, &roots, &closures, machine),
            _ => Vec::new(),
        };
        for variant in &variants {
            closures[variant.root].add_variant(&variant.closure);
        }
        for users in by_library(closures.iter().flat_map(|closure| &closure.missing)) {
            let package = packages::of_library(view.root(), &users[0].needed, machine);
            let error = missing_error(&users, Some(machine), &packages::remedy(view.root(), package.as_deref()));
            let error = match is_of_host(&users[0].needed) {
                Some(why) => {
                    let name = String::from_utf8_lossy(&users[0].needed);
                    error.detail(format!("it is {why}")).help(format!("leave it to the host: --allow-missing {name}"))
                }
                None => error,
            };
            faults.push(Fault::short(error, users[0].shortage()));
        }
        Refusal::all(std::mem::take(faults))?;
        warnings.extend(passed_over(&closures, machine));
        warnings.extend(opened::warnings(view, &closures, machine));
        let packages = packaged.taken;
        Ok(Gathered { seeds: self, roots, closures, variants, others, scripts, wishes, accounts, packages, rules })
    }
}

/// Warns of executables with embedded programs, whose needs are unknown.
fn carriers(worklist: &mut Worklist<'_>) -> Vec<Warning> {
    let roots = worklist.worked.roots.iter().zip(&worklist.worked.closures);
    let asked = roots.filter(|(root, _)| root.is_tool || root.is_project);
    let asked: Vec<_> = asked.map(|(root, closure)| (root.path.clone(), closure.id)).collect();
    let warning = |(path, file): (RootfsPath, FileId)| {
        let carrier = worklist.view.carrier(file)?;
        let name = String::from_utf8_lossy(path.file_name()).into_owned();
        let message = format!("`{path}` {carrier}: its needs cannot be seen, and are not packed");
        Some(Warning::new(message).help(carrier.help(&name)))
    };
    asked.into_iter().filter_map(warning).collect()
}

/// Warns of files for other machines that a search skipped.
fn passed_over(closures: &[Closure], machine: Machine) -> impl Iterator<Item = Warning> {
    let all = closures.iter().flat_map(|closure| &closure.passed_over);
    let distinct: BTreeSet<_> = all.map(|(path, it)| (path, it.name())).collect();
    let warning = move |(path, it)| Warning::new(format!("passed over `{path}`: it is for {it}, not for {machine}"));
    distinct.into_iter().map(warning)
}

impl Gathered<'_> {
    /// Puts everything in its place.
    pub(super) fn lay_out(mut self, mut view: Sysroot, brief: Brief<'_>, notices: Notices) -> Result<Planned, Refusal> {
        let Brief { target, content, template, policy, installed } = brief;
        let Notices { mut warnings, .. } = notices;
        let machine = target.machine();
        let Self { seeds, roots, closures, variants, .. } = &self;
        let mut layout = Layout::new(&mut view, policy);
        // Includes first: the mode and owner that the user requests apply to the file even if others need it.
        includes::lay_out(&mut layout, &seeds.includes)?;
        let mut claims = closures::lay_out(&mut layout, roots, closures, machine)?;
        self.others.iter().try_for_each(|other| layout.copy(&other.path, &other.origin, IfThere::Fail))?;
        claims.extend(variants::lay_out(&mut layout, roots, variants, machine)?);
        claims.extend(scripts::claims(&layout, &self.scripts, machine));
        scripts::lay_out(&mut layout, &self.scripts)?;
        locales::lay_out(&mut layout, &seeds.locales)?;
        configuration::lay_out(&mut layout, roots, closures, variants)?;
        for entry in &template.entries {
            skeleton::put(&mut layout, entry, &mut warnings)?;
        }
        self.packages.lay_out(&mut layout)?;
        if let Some(rules) = &self.rules {
            rules.lay_out(&mut layout, &self.accounts)?;
        }
        accounts::lay_out(&mut layout, &self.accounts)?;
        let taken: Vec<RootfsPath> = self.rules.iter().flat_map(Runtime::brought_files).cloned().collect();
        let services = self.rules.as_ref().map(Runtime::services).unwrap_or_default();
        tmpfiles::lay_out(&mut layout, taken.iter(), services, &self.accounts)?;
        layout.top_links();
        layout.second_names(&seeds.tools)?;
        records::lay_out(&mut layout, installed, content.records, content.licenses)?;
        warnings.extend(std::mem::take(&mut layout.surprises).warnings(layout.view.root()));
        let rootfs = layout.finish()?;
        warnings.extend(includes::dangling(&seeds.includes, &rootfs));

        let given = given(content)?;
        let claims = closures::with_names(claims, roots, &rootfs, &mut view);
        let (mut inputs, absent) = view.inputs();
        // This search changes no entry.
        opened::find_may_open(&mut view, &mut self.seeds.resolvers, &self.roots, &mut self.closures, &rootfs);
        let left_out = self.rules.as_ref().and_then(|rules| rules.left_out(&view, &rootfs));
        let brought = self.rules.as_ref().and_then(Runtime::brought);
        warnings.extend(self.rules.iter_mut().flat_map(|rules| rules.offers(&mut view, &rootfs)));
        let (suggested, recommended) = self.rules.map(Runtime::advice).unwrap_or_default();
        let suggestions = suggestions::find(&mut view, suggested.into_iter(), &self.scripts, &rootfs);
        inputs.extend(template.inputs.iter().map(|path| path.clone().into_std_path_buf()));
        inputs.extend(self.seeds.includes.iter().map(|include| include.host.clone()));
        inputs.sort_unstable();
        inputs.dedup();
        let assembly = Assembly {
            rootfs,
            warnings,
            executables: self.seeds.project.paths(),
            tools: self.seeds.tools,
            brought,
            left_out,
            suggestions,
            recommended,
            wishes: self.wishes,
            scripts: self.scripts,
            closures: self.roots.into_iter().map(|root| root.name).zip(self.closures).collect(),
            inputs,
            absent,
            sysroot: view.afresh(),
            installed: installed.clone(),
            policy: policy.clone(),
        };
        Ok(Planned { assembly, claims, follows: content.dlopen, given, view })
    }
}
