"""Sends with smtplib and reads with imaplib, as a script of a user would."""
import imaplib
import smtplib
import ssl
import sys
import time
from email.message import EmailMessage

ca, submission, imaps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
context = ssl.create_default_context(cafile=ca)
me, password = "bob@demo.test", "facteur"

msg = EmailMessage()
msg["From"], msg["To"], msg["Subject"] = me, "alice@demo.test", "Grüße aus Python"
msg.set_content("Schöne Grüße.\n")
msg.add_attachment(b"\x00\x01\x02", maintype="application", subtype="octet-stream", filename="drei.bin")
with smtplib.SMTP("localhost", submission) as s:
    s.starttls(context=context)
    s.login(me, password)
    refused = s.send_message(msg)
    assert refused == {}, refused
    # 8-bit octets without BODY=8BITMIME, as smtplib sends them
    s.sendmail(me, ["alice@demo.test"], "From: bob@demo.test\r\nSubject: raw\r\n\r\nGrüße\r\n".encode())
    try:
        s.sendmail("someone@else.test", ["alice@demo.test"], "From: someone@else.test\r\n\r\n.\r\n")
        raise SystemExit("a reverse-path that is not ours was taken")
    except (smtplib.SMTPSenderRefused, smtplib.SMTPDataError, smtplib.SMTPRecipientsRefused):
        pass

with imaplib.IMAP4_SSL("localhost", imaps, ssl_context=context) as m:
    m.login("alice@demo.test", password)
    deadline = time.time() + 20
    while True:
        m.select("INBOX")
        m.literal = "Grüße".encode()
        status, found = m.uid("SEARCH", "CHARSET", "UTF-8", "SUBJECT")
        assert status == "OK", found
        uids = found[0].split()
        if uids or time.time() > deadline:
            break
        time.sleep(0.05)
    assert len(uids) == 1, found
    status, data = m.uid("FETCH", uids[0], "(FLAGS BODYSTRUCTURE BODY.PEEK[])")
    assert status == "OK" and b"drei.bin" in data[0][0] + data[0][1], data
    assert m.uid("STORE", uids[0], "+FLAGS", "(\\Flagged $Important)")[0] == "OK"
    assert m.uid("COPY", uids[0], "Archive")[0] == "OK"
    status, data = m.append("Drafts", "(\\Draft)", imaplib.Time2Internaldate(time.time()), b"Subject: draft\r\n\r\nnot yet\r\n")
    assert status == "OK", data
    for name in ("INBOX", "Archive", "Drafts"):
        status, data = m.status(name, "(MESSAGES UIDNEXT UIDVALIDITY UNSEEN)")
        assert status == "OK" and b"MESSAGES" in data[0], data
    m.create("Projects/2026")
    m.rename("Projects/2026", "Projects/2027")
    status, names = m.list()
    assert any(b"Projects/2027" in n for n in names), names
    m.delete("Projects/2027")
    m.select("Drafts")
    m.store("1", "+FLAGS", "\\Deleted")
    assert m.expunge()[0] == "OK"
print("all good")
