//! Brings up the loopback interface, which is down in a new network namespace.

use std::io;

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

/// Constants of linux/rtnetlink.h and linux/netlink.h.
const RTM_NEWLINK: u16 = 16;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLMSG_ERROR: u16 = 2;
/// Constant of linux/if.h.
const IFF_UP: u32 = 1;
/// The first interface of every network namespace (`LOOPBACK_IFINDEX` in the kernel's net/dev.h).
const LOOPBACK: i32 = 1;

/// Does what `ip link set lo up` does (rtnetlink(7)).
pub(super) fn loopback_up() -> io::Result<()> {
    let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    rustix::net::sendto(&socket, &request(), SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
    let mut answer = [0; 128];
    let (length, _) = rustix::net::recv(&socket, &mut answer[..], RecvFlags::empty())?;
    match errno(&answer[..length]) {
        Some(0) => Ok(()),
        Some(errno) => Err(io::Error::from_raw_os_error(-errno)),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// `struct nlmsghdr` and `struct ifinfomsg`.
fn request() -> Vec<u8> {
    let mut message = Vec::with_capacity(32);
    message.extend(32_u32.to_ne_bytes());
    message.extend(RTM_NEWLINK.to_ne_bytes());
    message.extend((NLM_F_REQUEST | NLM_F_ACK).to_ne_bytes());
    // Sequence and sender.
    message.extend([0; 8]);
    // Family and type: any.
    message.extend([0; 4]);
    message.extend(LOOPBACK.to_ne_bytes());
    message.extend(IFF_UP.to_ne_bytes());
    // The mask of flags to change.
    message.extend(IFF_UP.to_ne_bytes());
    message
}

/// The error of a `struct nlmsgerr`: 0, or a negative errno.
fn errno(answer: &[u8]) -> Option<i32> {
    let kind = u16::from_ne_bytes(*answer.get(4..)?.first_chunk()?);
    let errno = i32::from_ne_bytes(*answer.get(16..)?.first_chunk()?);
    (kind == NLMSG_ERROR).then_some(errno)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_as_long_as_it_says() {
        assert_eq!(request().len(), 32);
        assert_eq!(request()[..4], 32_u32.to_ne_bytes());
    }

    #[test]
    fn an_answer_is_an_error_number() {
        let answer = |kind: u16, errno: i32| {
            [&[0; 4][..], &kind.to_ne_bytes(), &[0; 10], &errno.to_ne_bytes(), &[0; 16]].concat()
        };
        assert_eq!(errno(&answer(NLMSG_ERROR, 0)), Some(0));
        assert_eq!(errno(&answer(NLMSG_ERROR, -1)), Some(-1));
        assert_eq!(errno(&answer(RTM_NEWLINK, 0)), None);
        assert_eq!(errno(&answer(NLMSG_ERROR, 0)[..18]), None);
    }
}
