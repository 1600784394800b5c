//! Many records a call: as much as the protocol allows, parts of records, and what else than data
//! may be among them.

use crate::{
    bench::{Bench, refused, within},
    raw, tls,
};
use anyhow::{Result, anyhow, ensure};
use tlsgate::{
    Driver, Record, RecordOutcome, Start,
    protocol::{
        CredentialId, Ioctl, NtStatus, RECORD_OFFSET, SecurityStatus, SessionId, limits,
        payload::{RecordReply, outcome, state},
    },
};
use tlsgate_lab_control::ksecdd::{Effect, Function};

/// Each on a session of its own.
pub async fn all(bench: &mut Bench) -> Result<()> {
    let credential = bench.credential().await?;
    the_largest(&bench.driver, credential).await?;
    behind_a_header(bench, credential).await?;
    parts_of_records(&bench.driver, credential).await?;
    a_key_update_among_data(&bench.driver, credential).await?;
    the_end_among_data(&bench.driver, credential).await?;
    an_expired_context_behind_the_end(bench, credential).await?;
    damage_among_data(&bench.driver, credential).await?;
    what_cannot_be_tls(&bench.driver, credential).await?;
    ensure!(
        !within(bench.driver.release(credential)).await??,
        "deferred"
    );
    Ok(())
}

/// A plaintext that begins where its first record has it, or in front of that; further behind it is refused, and
/// nothing has happened.
async fn behind_a_header(bench: &Bench, credential: CredentialId) -> Result<()> {
    let (session, mut peer) = tls::establish(&bench.driver, credential).await?;
    let header = within(bench.driver.query_session(session)).await??.header;
    ensure!(header >= 5, "{header} bytes in front of a record");
    for length in [0, 1, 16_384, 16_385, 40_000] {
        let data = bytes(length);
        for offset in 0..=header {
            let mut request = raw::record_behind(Ioctl::Seal, session, offset, &data);
            request.room += 2 * length;
            let answer = within(bench.issue(&request)).await?;
            let reply = answer.map_err(|status| anyhow!("{length} behind {offset}: {status:?}"))?;
            let front = raw::structure::<RecordReply>(&reply)?;
            ensure!(
                front.outcome == outcome::DATA && front.consumed as usize == length,
                "{length} bytes behind {offset}: {front:?}"
            );
            ensure!(
                peer.hear(&reply[RECORD_OFFSET..])? == data,
                "{length} bytes behind {offset} changed on their way"
            );
        }
        let mut request = raw::record_behind(Ioctl::Seal, session, header + 1, &data);
        request.room += 2 * length;
        let operation = bench.issue(&request);
        let due = NtStatus::STATUS_INVALID_PARAMETER;
        refused(operation, due, "a plaintext behind its place").await?;
    }
    close(&bench.driver, session).await
}

/// A mebibyte each way, by one call; and nothing at all.
async fn the_largest(driver: &Driver, credential: CredentialId) -> Result<()> {
    let (session, mut peer) = tls::establish(driver, credential).await?;
    for length in [limits::MAX_RECORDS, 16_385, 16_384, 1, 0] {
        let data = bytes(length);
        let sealed = within(driver.seal(session, &data)).await??;
        ensure!(
            sealed.outcome == RecordOutcome::Data && sealed.consumed == length,
            "{length} bytes not sealed: {:?}",
            sealed.status
        );
        let records = length.div_ceil(limits::MAX_PLAINTEXT).max(1);
        ensure!(
            count(&sealed.bytes) == records,
            "{length} bytes: not {records} records"
        );
        ensure!(
            peer.hear(&sealed.bytes)? == data,
            "{length} bytes changed on their way"
        );
    }
    let data = bytes(limits::MAX_RECORDS / 2);
    let stream = peer.say(&data)?;
    ensure!(count(&stream) > 30, "{} records", count(&stream));
    let opened = unseal(driver, session, &stream).await?;
    expect(&opened, RecordOutcome::Data, stream.len(), &data)?;
    close(driver, session).await
}

/// A stream cut anywhere: whole records are opened, of the last one nothing is used up.
async fn parts_of_records(driver: &Driver, credential: CredentialId) -> Result<()> {
    let (session, mut peer) = tls::establish(driver, credential).await?;
    for cut in [0, 1, 4, 5, 6, 20] {
        let mut stream = peer.say(b"whole")?;
        let whole = stream.len();
        stream.extend(peer.say(b"part")?);
        let opened = unseal(driver, session, &stream[..whole + cut]).await?;
        if cut == 0 {
            expect(&opened, RecordOutcome::Data, whole, b"whole")?;
        } else {
            expect(&opened, RecordOutcome::NeedMore, whole, b"whole")?;
            ensure!(opened.missing > 0, "nothing is missing: {opened:?}");
        }
        let opened = unseal(driver, session, &stream[whole..]).await?;
        expect(&opened, RecordOutcome::Data, stream.len() - whole, b"part")?;
    }
    close(driver, session).await
}

/// Data, a `KeyUpdate`, data: the first data and the token come in one reply, and until a leg has seen
/// the token nothing is sealed, and nothing is lost.
async fn a_key_update_among_data(driver: &Driver, credential: CredentialId) -> Result<()> {
    let (session, mut peer) = tls::establish(driver, credential).await?;
    let mut stream = peer.say(b"one")?;
    let first = stream.len();
    let update = peer.update_keys()?;
    stream.extend(&update);
    stream.extend(peer.say(b"two")?);
    let opened = unseal(driver, session, &stream).await?;
    expect(
        &opened,
        RecordOutcome::Renegotiate,
        first + update.len(),
        b"one",
    )?;
    ensure!(!opened.token.is_empty(), "no token");
    let sealed = within(driver.seal(session, b"early")).await??;
    ensure!(
        sealed.outcome == RecordOutcome::Renegotiate
            && sealed.status == SecurityStatus::SEC_E_CONTEXT_EXPIRED
            && sealed.consumed == 0
            && sealed.bytes.is_empty()
            && sealed.token.is_empty(),
        "SEAL before the leg: {sealed:?}"
    );
    let leg = within(driver.accept(Start::Continue(session), &opened.token)).await??;
    ensure!(
        leg.state == state::ESTABLISHED && leg.consumed == opened.token.len(),
        "{leg:?}"
    );
    peer.give(&leg.token)?;
    let rest = &stream[opened.consumed..];
    let opened = unseal(driver, session, rest).await?;
    expect(&opened, RecordOutcome::Data, rest.len(), b"two")?;
    tls::talk(driver, session, &mut peer).await?;
    close(driver, session).await
}

/// What comes behind close_notify is nobody's.
async fn the_end_among_data(driver: &Driver, credential: CredentialId) -> Result<()> {
    let (session, mut peer) = tls::establish(driver, credential).await?;
    let mut stream = peer.say(b"last")?;
    stream.extend(peer.say_goodbye()?);
    let length = stream.len();
    stream.extend(b"nonsense");
    let opened = unseal(driver, session, &stream).await?;
    expect(&opened, RecordOutcome::PeerClosed, length, b"last")?;
    close(driver, session).await
}

/// `SEC_E_CONTEXT_EXPIRED` is worth another try when a leg is due, and never once close_notify has been
/// said, by either side: who would wait for a leg would wait for good.
async fn an_expired_context_behind_the_end(
    bench: &mut Bench,
    credential: CredentialId,
) -> Result<()> {
    const EXPIRED: SecurityStatus = SecurityStatus::SEC_E_CONTEXT_EXPIRED;
    for end in [End::None, End::Ours, End::Theirs] {
        let driver = bench.driver.clone();
        let (session, mut peer) = tls::establish(&driver, credential).await?;
        match end {
            End::None => {}
            End::Ours => {
                let said = within(driver.shutdown(session)).await??;
                ensure!(said.outcome == RecordOutcome::Data, "{said:?}");
                ensure!(peer.hear(&said.bytes)?.is_empty(), "not just close_notify");
                // Half-closed: what the peer still says is heard.
                let stream = peer.say(b"still")?;
                let opened = unseal(&driver, session, &stream).await?;
                expect(&opened, RecordOutcome::Data, stream.len(), b"still")?;
            }
            End::Theirs => {
                let stream = peer.say_goodbye()?;
                let opened = unseal(&driver, session, &stream).await?;
                expect(&opened, RecordOutcome::PeerClosed, stream.len(), b"")?;
                // And here, what is still said.
                let sealed = within(driver.seal(session, b"still")).await??;
                ensure!(sealed.outcome == RecordOutcome::Data, "{sealed:?}");
                ensure!(peer.hear(&sealed.bytes)? == b"still", "something else");
            }
        }
        let function = Function::SealMessage;
        bench.lab.fault(function, &[Effect::Refused(EXPIRED.0)])?;
        let sealed = within(driver.seal(session, b"more")).await??;
        bench.lab.fault(function, &[])?;
        let expected = match end {
            End::None => RecordOutcome::Renegotiate,
            End::Ours | End::Theirs => RecordOutcome::Failed,
        };
        ensure!(
            sealed.outcome == expected && sealed.status == EXPIRED && sealed.bytes.is_empty(),
            "{end:?}: {sealed:?}"
        );
        match end {
            End::None => {
                tls::talk(&driver, session, &mut peer).await?;
                close(&driver, session).await?;
            }
            // Nothing was sent: the other direction is none the worse.
            End::Ours => {
                let stream = peer.say(b"to the end")?;
                let opened = unseal(&driver, session, &stream).await?;
                expect(&opened, RecordOutcome::Data, stream.len(), b"to the end")?;
                close(&driver, session).await?;
            }
            End::Theirs => {
                let said = within(driver.shutdown(session)).await??;
                ensure!(said.outcome == RecordOutcome::Data, "{said:?}");
                close(&driver, session).await?;
            }
        }
    }
    Ok(())
}

/// Who has said close_notify.
#[derive(Clone, Copy, Debug)]
enum End {
    None,
    Ours,
    Theirs,
}

/// A record that was changed fails the session; what came before is delivered.
async fn damage_among_data(driver: &Driver, credential: CredentialId) -> Result<()> {
    let (session, mut peer) = tls::establish(driver, credential).await?;
    let mut stream = peer.say(b"good")?;
    let first = stream.len();
    stream.extend(peer.say(b"bad")?);
    if let Some(byte) = stream.last_mut() {
        *byte ^= 1;
    }
    stream.extend(peer.say(b"never read")?);
    let opened = unseal(driver, session, &stream).await?;
    expect(&opened, RecordOutcome::Failed, first, b"good")?;
    ensure!(
        opened.status == SecurityStatus::SEC_E_MESSAGE_ALTERED,
        "{opened:?}"
    );
    failed(driver, session).await
}

/// The same for bytes that are no record at all, which Schannel never sees.
async fn what_cannot_be_tls(driver: &Driver, credential: CredentialId) -> Result<()> {
    let (session, mut peer) = tls::establish(driver, credential).await?;
    let mut stream = peer.say(b"good")?;
    let first = stream.len();
    stream.extend(b"GET / HTTP/1.1\r\n\r\n");
    let opened = unseal(driver, session, &stream).await?;
    expect(&opened, RecordOutcome::Failed, first, b"good")?;
    ensure!(
        opened.status == SecurityStatus::SEC_E_INVALID_TOKEN,
        "{opened:?}"
    );
    failed(driver, session).await
}

async fn unseal(driver: &Driver, session: SessionId, stream: &[u8]) -> Result<Record> {
    Ok(within(driver.unseal(session, stream)).await??)
}

fn expect(found: &Record, outcome: RecordOutcome, consumed: usize, data: &[u8]) -> Result<()> {
    ensure!(
        found.outcome == outcome && found.consumed == consumed && found.bytes == data,
        "{outcome:?} of {consumed} bytes was expected, with {} bytes of data: {:?} of {} with {}, {:?}",
        data.len(),
        found.outcome,
        found.consumed,
        found.bytes.len(),
        found.status
    );
    Ok(())
}

async fn failed(driver: &Driver, session: SessionId) -> Result<()> {
    ensure!(
        within(driver.seal(session, b"more")).await?.is_err(),
        "a session that has failed seals"
    );
    close(driver, session).await
}

async fn close(driver: &Driver, session: SessionId) -> Result<()> {
    Ok(within(driver.close(session)).await??)
}

/// Bytes of which no two neighbouring records are the same.
fn bytes(length: usize) -> Vec<u8> {
    (0..=250).cycle().take(length).collect()
}

/// Records in a stream, by their headers.
fn count(mut stream: &[u8]) -> usize {
    let mut records = 0;
    while let Some(&[_, _, _, high, low]) = stream.first_chunk::<5>() {
        let end = 5 + usize::from(u16::from_be_bytes([high, low]));
        stream = stream.get(end..).unwrap_or_default();
        records += 1;
    }
    records
}
