// Sends with nodemailer and reads with imapflow, with CONDSTORE, QRESYNC and COMPRESS where offered.
'use strict';
const assert = require('node:assert');
const fs = require('node:fs');
const { ImapFlow } = require('imapflow');
const nodemailer = require('nodemailer');

const [ca, submission, imaps] = process.argv.slice(2);
const tls = { ca: fs.readFileSync(ca) };
const client = (user) => new ImapFlow({ host: 'localhost', port: Number(imaps), secure: true, auth: { user, pass: 'facteur' }, logger: false, qresync: true, tls });

async function main() {
    const transport = nodemailer.createTransport({ host: 'localhost', port: Number(submission), requireTLS: true, auth: { user: 'bob@demo.test', pass: 'facteur' }, tls });
    const alice = client('alice@demo.test');
    await alice.connect();
    const lock = await alice.getMailboxLock('INBOX');
    const exists = new Promise((resolve) => alice.once('exists', resolve));
    const idle = alice.idle();
    const sent = await transport.sendMail({
        from: 'Bob <bob@demo.test>', to: 'alice@demo.test', subject: 'Ünïcode from nodemailer', text: 'plain text', html: '<p>rich text</p>',
        attachments: [{ filename: 'notes.txt', content: 'attached words' }]
    });
    assert.strictEqual(sent.accepted.length, 1);
    const event = await exists;
    assert.strictEqual(event.path, 'INBOX');

    // The next command ends IDLE.

    const uids = await alice.search({ subject: 'Ünïcode' }, { uid: true });
    await idle;
    assert.strictEqual(uids.length, 1);
    const msg = await alice.fetchOne(String(uids[0]), { envelope: true, bodyStructure: true, flags: true, source: true, threadId: true }, { uid: true });
    assert.strictEqual(msg.envelope.subject, 'Ünïcode from nodemailer');
    assert.ok(msg.source.includes('notes.txt'));
    const { content } = await alice.download(String(uids[0]), '2', { uid: true });
    let text = '';
    for await (const chunk of content) text += chunk;
    assert.strictEqual(text, 'attached words');

    await alice.messageFlagsAdd(String(uids[0]), ['\\Flagged', '$Important'], { uid: true });
    await alice.mailboxCreate('Projects/From Node');
    const moved = await alice.messageMove(String(uids[0]), 'Projects/From Node', { uid: true });
    assert.strictEqual(moved.uidMap.size, 1);
    lock.release();
    const other = await alice.getMailboxLock('Projects/From Node');
    const flagged = await alice.fetchOne('*', { flags: true, uid: true });
    assert.ok(flagged.flags.has('\\Flagged') && flagged.flags.has('$Important'));
    const appended = await alice.append('Drafts', 'Subject: draft\r\n\r\nbody\r\n', ['\\Draft']);
    assert.ok(appended.uid > 0);
    const boxes = await alice.list({ statusQuery: { messages: true, unseen: true } });
    assert.ok(boxes.find((b) => b.specialUse === '\\Sent'));
    assert.strictEqual(boxes.find((b) => b.path === 'Drafts').status.messages, 1);
    const quota = await alice.getQuota('INBOX');
    assert.ok(quota === false || typeof quota === 'object');
    assert.ok(await alice.messageDelete('1:*'));
    other.release();
    assert.ok(await alice.mailboxDelete('Projects/From Node'));
    await alice.logout();
    console.log('all good');
}

main().catch((err) => { console.error(err); process.exit(1); });
