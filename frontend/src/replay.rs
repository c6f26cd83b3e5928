//! A session's log to be played again: positions in it, and what had been shown by then. Idle stretches are
//! cut short.

use agent::projection::Projection;
use agent::record::Entry;
use agent::session::Session;
use agent::view::Patch;
use shared::Timestamp;

/// No pause between two entries is played longer than this many milliseconds.
const LONGEST_PAUSE_MS: u64 = 4_000;
/// How long the last picture stands.
const TAIL_MS: u64 = 500;

/// The replay, and how far it is shown.
pub struct Replay {
    log: Vec<Entry>,
    /// When each entry is played, in milliseconds from the beginning.
    offsets: Vec<u64>,
    shown: usize,
    session: Session,
    projection: Projection,
}

impl Replay {
    /// A replay of this log, at its beginning.
    pub fn new(log: Vec<Entry>) -> Self {
        let mut offsets: Vec<u64> = Vec::with_capacity(log.len());
        for (at, entry) in log.iter().enumerate() {
            let offset = match (offsets.last(), at.checked_sub(1).and_then(|before| log.get(before))) {
                (Some(offset), Some(before)) => offset + entry.at.since(before.at).min(LONGEST_PAUSE_MS),
                _ => 0,
            };
            offsets.push(offset);
        }
        Self { log, offsets, shown: 0, session: Session::default(), projection: Projection::default() }
    }

    /// How long it plays, in milliseconds.
    pub fn length(&self) -> u64 {
        self.offsets.last().map_or(0, |last| last + TAIL_MS)
    }

    /// Goes to a position, in milliseconds: what a page that shows the position before must change.
    pub fn seek(&mut self, position: u64) -> Vec<Patch> {
        let wanted = self.offsets.partition_point(|offset| *offset <= position);
        let mut patches = Vec::new();
        if wanted < self.shown {
            self.shown = 0;
            self.session = Session::default();
            self.projection = Projection::default();
            // Folded quietly, and shown as a whole.
            self.fold(wanted, &mut Vec::new());
            return self.projection.snapshot();
        }
        self.fold(wanted, &mut patches);
        patches
    }

    /// What time it was at a position.
    pub fn time(&self, position: u64) -> Timestamp {
        let next = self.offsets.partition_point(|offset| *offset <= position);
        let Some(before) = next.checked_sub(1) else {
            return self.log.first().map_or(Timestamp(0), |entry| entry.at);
        };
        let at = self.log[before].at;
        let into = position - self.offsets[before];
        match (self.log.get(next), self.offsets.get(next)) {
            (Some(entry), Some(offset)) => {
                let played = (offset - self.offsets[before]).max(1);
                at.plus(entry.at.since(at) * into / played)
            }
            _ => at.plus(into.min(TAIL_MS)),
        }
    }

    fn fold(&mut self, wanted: usize, patches: &mut Vec<Patch>) {
        for entry in &self.log[self.shown..wanted] {
            self.projection.apply(entry, &self.session, patches);
            self.session.apply(entry);
        }
        self.shown = wanted;
    }
}

#[cfg(test)]
mod tests {
    use agent::record::Record;
    use agent::view::RowKind;

    use super::*;

    #[test]
    fn pauses_are_cut_short_and_time_runs_faster_through_them() {
        let replay = Replay::new(log());
        assert_eq!(replay.offsets, [0, 1_000, 5_000]);
        assert_eq!(replay.length(), 5_500);
        assert_eq!(replay.time(0), Timestamp(10_000));
        assert_eq!(replay.time(500), Timestamp(10_500));
        assert_eq!(replay.time(3_000), Timestamp(11_000 + 45_000));
        assert_eq!(replay.time(5_000), Timestamp(101_000));
    }

    #[test]
    fn going_back_and_forth_shows_the_same() {
        let shown = |positions: &[u64]| {
            let mut replay = Replay::new(log());
            let mut page = Vec::new();
            for position in positions {
                for patch in replay.seek(*position) {
                    if patch == Patch::Reset {
                        page.clear();
                    } else {
                        page.push(patch);
                    }
                }
            }
            page
        };
        let straight = shown(&[6_000]);
        assert_eq!(shown(&[1_000, 6_000]), straight);
        assert_eq!(shown(&[6_000, 0, 6_000]), straight);
        assert_eq!(shown(&[6_000, 6_000]), straight);
        assert!(shown(&[6_000, 0]).is_empty());
    }

    #[test]
    fn an_empty_log_is_an_empty_replay() {
        let mut replay = Replay::new(Vec::new());
        assert_eq!(replay.length(), 0);
        assert!(replay.seek(0).is_empty());
        assert_eq!(replay.time(0), Timestamp(0));
    }

    fn log() -> Vec<Entry> {
        let record = |json: &str| serde_json::from_str::<Record>(json).unwrap();
        let began = r#"{"record":"began","format":1,"session":"00000000-0000-4000-8000-000000000001"}"#;
        let asked = r#"{"record":"asked","call":1,"cause":"user","append":[],"said":[],"model":{}}"#;
        let said = |id| format!(r#"{{"record":"said","id":{id},"text":"message {id}"}}"#);
        let log: Vec<Entry> = [(10_000, began.to_owned()), (11_000, said(1)), (101_000, asked.to_owned())]
            .into_iter()
            .zip(1..)
            .map(|((at, json), n)| Entry { n, at: Timestamp(at), record: record(&json) })
            .collect();
        assert!(!matches!(log[1].record, Record::Unknown), "{:?}", RowKind::User { text: String::new() });
        log
    }
}
