//! Taking flows out of the table that are over.
//!
//! User space reads the table in batches and sends the keys of entries that look expired through this program
//! (BPF_PROG_TEST_RUN), which looks again: between the two a packet may have come. Both entries of a translated flow
//! go together.

use aya_ebpf::macros::classifier;
use aya_ebpf::programs::TcContext;
use dataplane_common::{Expired, FlowKey, PacketBytes as _, Tick};

use crate::maps;
use crate::packet::Scratch;
use crate::skb::Skb;

/// Removes the flows that are listed in the "packet", which is an [`Expired`] and as many keys as it says, if they are
/// expired; returns how many entries it removed.
#[classifier]
fn sheave_collect(context: TcContext) -> i32 {
    let mut skb = Skb::new(&context);
    skb.pull_all();
    let Some(header) = skb.read::<Expired>(0) else { return 0 };
    let (now, count) = (header.now(), header.count());
    let Some(scratch) = maps::scratch() else { return 0 };
    let mut removed = 0;
    for position in 0..Expired::MOST_KEYS {
        if position >= count {
            break;
        }
        let Some(key) = skb.read::<FlowKey>(Expired::offset_of_key(position)) else { break };
        scratch.key = *key;
        removed += collect(scratch, now.0);
    }
    removed
}

/// Removes one flow if it is expired: the number of entries that it had.
#[inline(never)]
fn collect(scratch: &mut Scratch, now: u32) -> i32 {
    let Scratch { key, reply_key: partner_key, .. } = scratch;
    let Some(entry) = maps::flow(key) else { return 0 };
    let has_partner = entry.set_partner(key, partner_key);
    let partner = if has_partner { maps::flow(partner_key) } else { None };
    if !entry.is_expired(key.protocol(), partner.as_deref(), Tick(now)) {
        return 0;
    }
    let own = maps::FLOWS.remove(&*key).is_ok();
    let other = has_partner && maps::FLOWS.remove(&*partner_key).is_ok();
    i32::from(own) + i32::from(other)
}
