//! BACnet's status flags of a prediction, for gateways that serve it as an object.

use std::fmt;

use crate::domain::quality::ReasonSubject;
use crate::domain::{Quality, Reason};

/// The four flags of ASHRAE 135, in their order. Written as four digits: `0100` is a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(clippy::struct_excessive_bools, reason = "four independent flags by definition")]
pub struct StatusFlags {
    /// An alarm of the unit stands.
    pub in_alarm: bool,
    /// The number is not to be used: none is published at present, or it is implausible.
    pub fault: bool,
    /// Somebody has set the number by hand: never here.
    pub overridden: bool,
    /// The object is taken out of service: never here. Whether the daemon serves, its own status tells.
    pub out_of_service: bool,
}

impl StatusFlags {
    /// The flags of one target, by its place. A prediction of uncertain quality is no fault: it is published and plausible,
    /// though it may rest on inputs that are held, defaulted or outside what its models were trained on. BACnet has no
    /// flag for that; the quality tells.
    #[must_use]
    pub fn of(target: usize, quality: Quality, reasons: &[Reason], in_alarm: bool) -> Self {
        let is_about = |reason: &&Reason| match reason.subject() {
            ReasonSubject::Target(index) => usize::from(index) == target,
            _ => false,
        };
        let fault = quality == Quality::Bad || reasons.iter().any(|reason| is_about(&reason));
        Self { in_alarm, fault, ..Self::default() }
    }
}

impl fmt::Display for StatusFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        [self.in_alarm, self.fault, self.overridden, self.out_of_service]
            .iter()
            .try_for_each(|flag| f.write_str(if *flag { "1" } else { "0" }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_stand_in_the_order_of_the_standard() {
        let flags =
            |quality, reasons: &[Reason], alarm| StatusFlags::of(1, quality, reasons, alarm).to_string();
        assert_eq!(flags(Quality::Good, &[], false), "0000");
        assert_eq!(flags(Quality::Uncertain, &[Reason::ClockNotSet], false), "0000");
        assert_eq!(flags(Quality::Bad, &[], false), "0100");
        assert_eq!(flags(Quality::Bad, &[Reason::Silent], true), "1100");
        assert_eq!(flags(Quality::Uncertain, &[Reason::Implausible(0)], false), "0000");
        assert_eq!(flags(Quality::Uncertain, &[Reason::Implausible(1)], false), "0100");
    }
}
