//! Servers, their meters and the ladder as JSON.
//!
//! What a settlement writes is written by hand like everything on the charge path; reports, terms and the state of
//! servers in a book are rare or folded, and go through serde.
use std::sync::Arc;

use billing::id::Name;
use billing::ledger::{BurnTerms, Burning, Grace, Ladder, Rung, ServerAct, ServerReport, Settled};
use billing::money::Credits;
use billing::rating::Text;
use billing::server::{Change, Drawn, Fact, Fleet, Meter, Part, PartKind, Phase, Run, Server, Tariff, Undone};
use billing::time::{Span, Timestamp};
use billing::zone::Calendar;
use serde::{Deserialize, Serialize};

use super::Malformed;
use super::json::Json;
use super::work::{TermsJson, read_grant, write_terms as write_grant_terms};

pub fn write_settled(json: &mut Json, settled: Option<&Settled>) {
    let Some(settled) = settled else { return };
    json.key("settled").object(|json| {
        json.key("server").string(settled.server.as_str());
        if settled.kind == PartKind::SetUp {
            json.key("set_up").integer(1);
        }
        if let Some(until) = settled.until {
            json.key("until").integer(until.millis());
        }
        if !settled.beyond.is_zero() {
            json.key("beyond").integer(settled.beyond.micros());
        }
    });
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettledJson {
    server: String,
    #[serde(default)]
    set_up: u8,
    until: Option<i64>,
    #[serde(default)]
    beyond: i64,
}

impl SettledJson {
    pub fn read(self) -> Result<Settled, Malformed> {
        let kind = part_kind(self.set_up != 0);
        let (until, beyond) = (self.until.map(Timestamp::from_millis), Credits::from_micros(self.beyond));
        Ok(Settled { server: name(&self.server)?, kind, until, beyond })
    }
}

/// Whose time was reversed by hand, and whether it was the set-up.
pub fn write_of_server(json: &mut Json, of_server: Option<&(Name, PartKind)>) {
    let Some((server, kind)) = of_server else { return };
    json.key("of_server").array(|json| {
        json.string(server.as_str());
        json.integer(u8::from(*kind == PartKind::SetUp));
    });
}

pub fn read_of_server((server, set_up): (String, u8)) -> Result<(Name, PartKind), Malformed> {
    Ok((name(&server)?, part_kind(set_up != 0)))
}

fn part_kind(is_set_up: bool) -> PartKind {
    if is_set_up { PartKind::SetUp } else { PartKind::Runtime }
}

pub fn write_report(json: &mut Json, report: &ServerReport) {
    let (act, tariff, project) = match &report.act {
        ServerAct::Provision { project, tariff } => ("provision", Some(tariff), project.as_ref()),
        ServerAct::Change(change) => (change.as_str(), change.tariff(), None),
    };
    json.key("server").raw(&written(&ReportJson {
        server: report.server.to_string(),
        act: act.into(),
        at: report.at.millis(),
        project: project.map(ToString::to_string),
        tariff: tariff.map(|it| TariffJson::of(it)),
        terms: report.terms.as_deref().map(BurnTermsJson::of),
    }));
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportJson {
    server: String,
    act: Text,
    at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    project: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tariff: Option<TariffJson>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    terms: Option<BurnTermsJson>,
}

impl ReportJson {
    pub fn read(self) -> Result<ServerReport, Malformed> {
        let act = if &*self.act == "provision" {
            let tariff = self.tariff.ok_or(Malformed::lacks("tariff"))?.read()?;
            ServerAct::Provision { project: optional_name(self.project)?, tariff }
        } else {
            ServerAct::Change(read_change(&self.act, self.tariff)?)
        };
        let terms = self.terms.map(BurnTermsJson::read).transpose()?;
        Ok(ServerReport { server: name(&self.server)?, act, at: Timestamp::from_millis(self.at), terms })
    }
}

fn read_change(act: &str, tariff: Option<TariffJson>) -> Result<Change, Malformed> {
    let tariff = || tariff.ok_or(Malformed::lacks("tariff"))?.read();
    Ok(match act {
        "prices" => Change::Prices(tariff()?),
        "start" => Change::Start(tariff()?),
        "stop" => Change::Stop,
        "resize" => Change::Resize(tariff()?),
        "release" => Change::Release,
        "fail" => Change::Fail,
        other => return Err(Malformed::not("something that happens to a server", other)),
    })
}

/// Tier, region, version of the card, set-up, price, seconds it is for, minimum, commitment, cap.
#[derive(Serialize, Deserialize)]
struct TariffJson(Text, Option<Text>, u32, i64, i64, u64, u64, u64, Option<i64>);

impl TariffJson {
    fn of(it: &Tariff) -> TariffJson {
        TariffJson(
            Arc::clone(&it.tier),
            it.region.clone(),
            it.rate_card,
            it.set_up.micros(),
            it.price.micros(),
            it.per_seconds,
            it.minimum_seconds,
            it.commitment_seconds,
            it.monthly_cap.map(Credits::micros),
        )
    }
    fn read(self) -> Result<Arc<Tariff>, Malformed> {
        let most = Credits::MAX.micros();
        let amounts = [Some(self.3), Some(self.4), self.8];
        let years = 100 * 366 * 24 * 3_600;
        if self.5 == 0 || amounts.iter().flatten().any(|it| !(0..=most).contains(it)) || years < self.6.max(self.7) {
            return Err(Malformed::not("a tariff", &self.0));
        }
        Ok(Arc::new(Tariff {
            tier: self.0,
            region: self.1,
            rate_card: self.2,
            set_up: Credits::from_micros(self.3),
            price: Credits::from_micros(self.4),
            per_seconds: self.5,
            minimum_seconds: self.6,
            commitment_seconds: self.7,
            monthly_cap: self.8.map(Credits::from_micros),
        }))
    }
}

pub fn write_terms(json: &mut Json, terms: &BurnTerms) {
    json.raw(&written(&BurnTermsJson::of(terms)));
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BurnTermsJson {
    /// Instants, and seconds ahead of UTC from then on.
    calendar: Vec<(i64, i32)>,
    grace: i64,
    debt_max: i64,
    release_after: i64,
    /// Left out where it is what it was before anybody could say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    runway: Option<[i64; 3]>,
}

impl BurnTermsJson {
    fn of(terms: &BurnTerms) -> BurnTermsJson {
        BurnTermsJson {
            calendar: terms.calendar.changes().iter().map(|(from, offset)| (from.millis(), *offset)).collect(),
            grace: terms.grace.lasts.millis(),
            debt_max: terms.grace.debt_max.micros(),
            release_after: terms.grace.release_after.millis(),
            runway: (terms.grace.runway != Grace::RUNWAY).then(|| terms.grace.runway.map(Span::millis)),
        }
    }
    pub fn read(self) -> Result<Arc<BurnTerms>, Malformed> {
        let changes = self.calendar.into_iter().map(|(from, offset)| (Timestamp::from_millis(from), offset));
        let calendar = Calendar::new(changes.collect()).ok_or_else(|| Malformed::not("a calendar", "its changes"))?;
        let grace = Grace {
            lasts: Span::from_millis(self.grace),
            debt_max: Credits::from_micros(self.debt_max),
            release_after: Span::from_millis(self.release_after),
            runway: self.runway.map_or(Grace::RUNWAY, |it| it.map(Span::from_millis)),
        };
        Ok(Arc::new(BurnTerms { calendar, grace }))
    }
}

pub fn read_rung(text: &str) -> Result<Rung, Malformed> {
    Rung::ALL.into_iter().find(|it| it.as_str() == text).ok_or_else(|| Malformed::not("a rung", text))
}

/// Writes what a book knows of burning, when it knows anything.
pub fn write_burning(json: &mut Json, burning: &Burning) {
    if *burning == Burning::default() {
        return;
    }
    json.key("burning").object(|json| {
        write_terms(json.key("terms"), &burning.terms);
        let Ladder { rung, zero_at, stop_at, release_at } = burning.ladder;
        let ladder =
            LadderJson(rung.as_str().into(), [zero_at, stop_at, release_at].map(|it| it.map(Timestamp::millis)));
        json.key("ladder").raw(&written(&ladder));
        json.key("servers").array(|json| burning.servers.iter().for_each(|it| write_server(json, it)));
    });
}

fn write_server(json: &mut Json, server: &Server) {
    // A tariff stands in many places of one server: it is written once.
    let mut tariffs: Vec<Arc<Tariff>> = Vec::new();
    let body = ServerJson {
        id: server.id.to_string(),
        project: server.project.as_ref().map(ToString::to_string),
        provisioned_at: server.provisioned_at.millis(),
        base: RunJson::of(&server.base, &mut tariffs),
        facts: server.facts.iter().map(|it| FactJson::of(it, &mut tariffs)).collect(),
        run: RunJson::of(&server.run, &mut tariffs),
        pending: server.pending.iter().map(|it| PartJson::of(it, &mut tariffs)).collect(),
        set_up: server.set_up.micros(),
        runtime: server.runtime.micros(),
        seconds: server.runtime_seconds,
        beyond: server.beyond.micros(),
        undone: server.undone.iter().map(UndoneJson::of).collect(),
        last_charge: server.last_charge.map(|it| it.to_string()),
        tariffs: tariffs.iter().map(|it| TariffJson::of(it)).collect(),
    };
    json.array(|json| {
        json.raw(&written(&body));
        for drawn in &server.drawn {
            json.object(|json| {
                json.key("credits").integer(drawn.credits.micros());
                if drawn.is_beyond {
                    json.key("beyond").integer(1);
                }
                if let Some((id, terms)) = &drawn.grant {
                    json.key("grant").string(&id.text());
                    write_grant_terms(json.key("terms"), terms);
                }
            });
        }
    });
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BurningJson {
    terms: BurnTermsJson,
    ladder: LadderJson,
    servers: Vec<ServerAndDraws>,
}

/// The rung, and when zero, stop and release were told.
#[derive(Serialize, Deserialize)]
struct LadderJson(Text, [Option<i64>; 3]);

impl BurningJson {
    pub fn read(self) -> Result<Burning, Malformed> {
        let [zero_at, stop_at, release_at] = self.ladder.1.map(|it| it.map(Timestamp::from_millis));
        let servers = self.servers.into_iter().map(|it| it.0.map(Arc::new)).collect::<Result<Vec<_>, _>>()?;
        if servers.windows(2).any(|it| it[1].id <= it[0].id) {
            return Err(Malformed::not("sorted by name", "the servers"));
        }
        let terms = self.terms.read()?;
        let servers = Fleet::of(servers, &terms.calendar);
        Ok(Burning {
            terms,
            servers,
            ladder: Ladder { rung: read_rung(&self.ladder.0)?, zero_at, stop_at, release_at },
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ServerJson {
    id: String,
    project: Option<String>,
    provisioned_at: i64,
    base: RunJson,
    facts: Vec<FactJson>,
    run: RunJson,
    pending: Vec<PartJson>,
    set_up: i64,
    runtime: i64,
    seconds: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    beyond: i64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    undone: Vec<UndoneJson>,
    last_charge: Option<String>,
    tariffs: Vec<TariffJson>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DrawnJson {
    credits: i64,
    #[serde(default)]
    beyond: u8,
    grant: Option<Text>,
    terms: Option<TermsJson>,
}

/// A server, and after it what its settlements drew.
struct ServerAndDraws(Result<Server, Malformed>);

impl<'de> Deserialize<'de> for ServerAndDraws {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<ServerAndDraws, D::Error> {
        struct Parts;
        impl<'de> serde::de::Visitor<'de> for Parts {
            type Value = ServerAndDraws;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a server and what it drew")
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<ServerAndDraws, A::Error> {
                use serde::de::Error;
                let server: ServerJson = seq.next_element()?.ok_or_else(|| A::Error::invalid_length(0, &self))?;
                let mut drawn: Vec<DrawnJson> = Vec::new();
                while let Some(one) = seq.next_element()? {
                    drawn.push(one);
                }
                Ok(ServerAndDraws(server.read(drawn)))
            }
        }
        deserializer.deserialize_seq(Parts)
    }
}

impl ServerJson {
    fn read(self, drawn: Vec<DrawnJson>) -> Result<Server, Malformed> {
        let tariffs = self.tariffs.into_iter().map(TariffJson::read).collect::<Result<Vec<_>, _>>()?;
        let drawn = drawn.into_iter().map(|it| {
            let grant = match (it.grant, it.terms) {
                (Some(grant), Some(terms)) => Some((read_grant(&grant)?, terms.read()?)),
                _ => None,
            };
            let is_beyond = it.beyond != 0;
            Ok::<_, Malformed>(Drawn { grant, credits: Credits::from_micros(it.credits), is_beyond })
        });
        let charge = |it: String| it.parse().map_err(|_| Malformed::not("a charge", &it));
        Ok(Server {
            id: name(&self.id)?,
            project: optional_name(self.project)?,
            provisioned_at: Timestamp::from_millis(self.provisioned_at),
            base: self.base.read(&tariffs)?,
            facts: self.facts.into_iter().map(|it| it.read(&tariffs)).collect::<Result<_, _>>()?,
            run: self.run.read(&tariffs)?,
            pending: self.pending.into_iter().map(|it| it.read(&tariffs)).collect::<Result<_, _>>()?,
            set_up: Credits::from_micros(self.set_up),
            runtime: Credits::from_micros(self.runtime),
            runtime_seconds: self.seconds,
            beyond: Credits::from_micros(self.beyond),
            drawn: drawn.collect::<Result<_, _>>()?,
            undone: self.undone.into_iter().map(UndoneJson::read).collect(),
            last_charge: self.last_charge.map(charge).transpose()?,
        })
    }
}

/// Phase, tariff, at, paid until, counted, started at, month, meters.
#[derive(Serialize, Deserialize)]
struct RunJson(Text, usize, i64, i64, u64, Option<i64>, (i64, i64), Vec<(usize, u64)>);

impl RunJson {
    fn of(run: &Run, tariffs: &mut Vec<Arc<Tariff>>) -> RunJson {
        let meters = run.meters.iter().map(|it| (place(&it.tariff, tariffs), it.millis)).collect();
        RunJson(
            run.phase.as_str().into(),
            place(&run.tariff, tariffs),
            run.at.millis(),
            run.least_until.millis(),
            run.counted_millis,
            run.started_at.map(Timestamp::millis),
            (run.month.0.millis(), run.month.1.millis()),
            meters,
        )
    }
    fn read(self, tariffs: &[Arc<Tariff>]) -> Result<Run, Malformed> {
        let phase = Phase::ALL.into_iter().find(|it| it.as_str() == &*self.0);
        let meter = |(place, millis)| Ok(Meter { tariff: placed(place, tariffs)?, millis });
        Ok(Run {
            phase: phase.ok_or_else(|| Malformed::not("a phase", &self.0))?,
            tariff: placed(self.1, tariffs)?,
            at: Timestamp::from_millis(self.2),
            least_until: Timestamp::from_millis(self.3),
            counted_millis: self.4,
            started_at: self.5.map(Timestamp::from_millis),
            month: (Timestamp::from_millis(self.6.0), Timestamp::from_millis(self.6.1)),
            meters: self.7.into_iter().map(meter).collect::<Result<_, Malformed>>()?,
        })
    }
}

#[derive(Serialize, Deserialize)]
struct FactJson(i64, Text, Option<usize>);

impl FactJson {
    fn of(fact: &Fact, tariffs: &mut Vec<Arc<Tariff>>) -> FactJson {
        FactJson(fact.at.millis(), fact.change.as_str().into(), fact.change.tariff().map(|it| place(it, tariffs)))
    }
    fn read(self, tariffs: &[Arc<Tariff>]) -> Result<Fact, Malformed> {
        let tariff = || placed(self.2.ok_or(Malformed::lacks("tariff"))?, tariffs);
        let change = match &*self.1 {
            "prices" => Change::Prices(tariff()?),
            "start" => Change::Start(tariff()?),
            "resize" => Change::Resize(tariff()?),
            other => read_change(other, None)?,
        };
        Ok(Fact { at: Timestamp::from_millis(self.0), change })
    }
}

/// Hour, whether a set-up, tier, reversed, set off, corrected.
#[derive(Serialize, Deserialize)]
struct UndoneJson(i64, bool, Text, i64, i64, i64);

impl UndoneJson {
    fn of(it: &Undone) -> UndoneJson {
        let [reversed, set_off, corrected] = [it.reversed, it.set_off, it.corrected].map(Credits::micros);
        let is_set_up = it.kind == PartKind::SetUp;
        UndoneJson(it.hour.millis(), is_set_up, Arc::clone(&it.tier), reversed, set_off, corrected)
    }
    fn read(self) -> Undone {
        let [reversed, set_off, corrected] = [self.3, self.4, self.5].map(Credits::from_micros);
        let (hour, kind) = (Timestamp::from_millis(self.0), part_kind(self.1));
        Undone { hour, kind, tier: self.2, reversed, set_off, corrected }
    }
}

/// From, hour, whether a set-up, tariff, seconds, uncapped, credits, set off.
#[derive(Serialize, Deserialize)]
struct PartJson(i64, i64, bool, usize, i64, i64, i64, i64);

impl PartJson {
    fn of(it: &Part, tariffs: &mut Vec<Arc<Tariff>>) -> PartJson {
        let (from, hour, is_set_up) = (it.from.millis(), it.hour.millis(), it.kind == PartKind::SetUp);
        let [uncapped, credits, set_off] = [it.uncapped, it.credits, it.set_off].map(Credits::micros);
        PartJson(from, hour, is_set_up, place(&it.tariff, tariffs), it.seconds, uncapped, credits, set_off)
    }
    fn read(self, tariffs: &[Arc<Tariff>]) -> Result<Part, Malformed> {
        Ok(Part {
            from: Timestamp::from_millis(self.0),
            hour: Timestamp::from_millis(self.1),
            kind: part_kind(self.2),
            tariff: placed(self.3, tariffs)?,
            seconds: self.4,
            uncapped: Credits::from_micros(self.5),
            credits: Credits::from_micros(self.6),
            set_off: Credits::from_micros(self.7),
        })
    }
}

fn place(tariff: &Arc<Tariff>, tariffs: &mut Vec<Arc<Tariff>>) -> usize {
    tariffs.iter().position(|it| it == tariff).unwrap_or_else(|| {
        tariffs.push(Arc::clone(tariff));
        tariffs.len() - 1
    })
}

fn placed(place: usize, tariffs: &[Arc<Tariff>]) -> Result<Arc<Tariff>, Malformed> {
    tariffs.get(place).cloned().ok_or(Malformed::lacks("a tariff that is referred to"))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands references")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

pub fn written(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("plain values can always be written")
}

pub fn name(text: &str) -> Result<Name, Malformed> {
    text.parse().map_err(|_| Malformed::not("a name", text))
}

pub fn optional_name(text: Option<String>) -> Result<Option<Name>, Malformed> {
    text.map(|it| name(&it)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Journals are never changed, and two nodes write the same.
    #[test]
    fn terms_from_before_runways_could_be_said_are_read_and_written_as_they_were() {
        let old = r#"{"calendar":[[0,7200]],"grace":1,"debt_max":2,"release_after":3}"#;
        let terms = serde_json::from_str::<BurnTermsJson>(old).unwrap().read().unwrap();
        assert_eq!(terms.grace.runway, Grace::RUNWAY);
        assert_eq!(written(&BurnTermsJson::of(&terms)), old);
    }
}
