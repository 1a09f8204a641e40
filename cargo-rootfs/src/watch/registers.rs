//! The system call of a stopped thread, from its registers.
//!
//! On machines whose registers the crate `nix` does not read, processes cannot be watched: [`of`] reports that.

use nix::errno::Errno;
use nix::unistd::Pid;

use super::calls::Abi;

/// A system call, at its start or at its end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Registers {
    pub(super) abi: Abi,
    pub(super) number: u64,
    /// Valid at the start of the call.
    pub(super) arguments: [u64; 6],
    /// Valid at the end of the call: the result, or a negated errno.
    pub(super) result: i64,
}

impl Registers {
    /// Returns whether this may be the start of a call, by the value of the result register on machines where that
    /// differs from the end.
    pub(super) fn may_begin(&self) -> bool {
        match self.abi {
            // arch/x86/entry: the result is ENOSYS until the call ends.
            Abi::X86_64 | Abi::X86 => self.result == -(Errno::ENOSYS as i64),
            Abi::Generic => true,
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) fn of(task: Pid) -> nix::Result<Registers> {
    /// The code segment of 32-bit programs (arch/x86/include/asm/segment.h, `__USER32_CS`).
    const USER32_CS: u64 = 0x23;
    let all = nix::sys::ptrace::getregs(task)?;
    Ok(if all.cs == USER32_CS {
        let arguments = [all.rbx, all.rcx, all.rdx, all.rsi, all.rdi, all.rbp].map(|value| value & 0xffff_ffff);
        // The upper half is undefined: the sign is bit 31.
        let result = i64::from(all.rax as u32 as i32);
        Registers { abi: Abi::X86, number: all.orig_rax & 0xffff_ffff, arguments, result }
    } else {
        let arguments = [all.rdi, all.rsi, all.rdx, all.r10, all.r8, all.r9];
        Registers { abi: Abi::X86_64, number: all.orig_rax, arguments, result: all.rax as i64 }
    })
}

#[cfg(all(target_arch = "x86", target_env = "gnu"))]
pub(super) fn of(task: Pid) -> nix::Result<Registers> {
    let all = nix::sys::ptrace::getregs(task)?;
    let arguments = [all.ebx, all.ecx, all.edx, all.esi, all.edi, all.ebp].map(|value| u64::from(value as u32));
    Ok(Registers { abi: Abi::X86, number: u64::from(all.orig_eax as u32), arguments, result: i64::from(all.eax) })
}

/// A 32-bit thread (arm) is not recognised, and its calls are not recorded.
#[cfg(target_arch = "aarch64")]
pub(super) fn of(task: Pid) -> nix::Result<Registers> {
    let all = nix::sys::ptrace::getregs(task)?;
    let [a, b, c, d, e, f, ..] = all.regs;
    Ok(Registers { abi: Abi::Generic, number: all.regs[8], arguments: [a, b, c, d, e, f], result: all.regs[0] as i64 })
}

#[cfg(all(target_arch = "riscv64", target_env = "gnu"))]
pub(super) fn of(task: Pid) -> nix::Result<Registers> {
    let all = nix::sys::ptrace::getregs(task)?;
    let arguments = [all.a0, all.a1, all.a2, all.a3, all.a4, all.a5];
    Ok(Registers { abi: Abi::Generic, number: all.a7, arguments, result: all.a0 as i64 })
}

#[cfg(not(any(
    target_arch = "x86_64",
    target_arch = "aarch64",
    all(target_arch = "x86", target_env = "gnu"),
    all(target_arch = "riscv64", target_env = "gnu")
)))]
pub(super) fn of(_: Pid) -> nix::Result<Registers> {
    Err(Errno::ENOSYS)
}
