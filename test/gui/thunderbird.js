// What a user does in Thunderbird, in the words of its own windows. Each function is called by
// thunderbird.go, in the main window's scope.

const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");

async function until(what, yes) {
  const deadline = Date.now() + 60000;
  for (;;) {
    const value = yes();
    if (value) {
      return value;
    }
    if (Date.now() > deadline) {
      throw new Error("waited in vain for " + what);
    }
    await new Promise(resolve => setTimeout(resolve, 100));
  }
}

function account() {
  return MailServices.accounts.accounts.find(a => a.incomingServer.type == "imap");
}

function folder(name) {
  return account().incomingServer.rootFolder.descendants.find(f => [f.localizedName, f.prettyName, f.name].includes(name));
}

function pane() {
  return document.getElementById("tabmail").currentAbout3Pane;
}

function message(subject) {
  const view = pane().gDBView;
  for (let row = 0; row < view.rowCount; row++) {
    if (view.getMsgHdrAt(row).mime2DecodedSubject.endsWith(subject)) {
      return row;
    }
  }
  return -1;
}

async function select(subject) {
  const row = await until("the message " + subject, () => message(subject) + 1);
  pane().threadTree.selectedIndex = row - 1;
  return pane().gDBView.getMsgHdrAt(row - 1);
}

// login trusts the demo's authority and saves the passwords, which an owner types once.
async function login(ca, user, password) {
  await until("the main window", () => pane() && pane().document.readyState == "complete");
  Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB).addCertFromBase64(ca, "C,,");
  for (const origin of ["imap://localhost", "smtp://localhost"]) {
    const info = Cc["@mozilla.org/login-manager/loginInfo;1"].createInstance(Ci.nsILoginInfo);
    info.init(origin, null, origin, user, password, "", "");
    await Services.logins.addLoginAsync(info);
  }
  return Services.appinfo.version;
}

async function folders(...names) {
  await until("the folders " + names, () => names.every(folder));
}

async function open(name, count) {
  await until("the folder " + name, () => folder(name));
  pane().displayFolder(folder(name).URI);
  await until(count + " messages in " + name, () => pane().gFolder == folder(name) && folder(name).getTotalMessages(false) == count && pane().gDBView?.rowCount);
}

async function read(subject, text) {
  await select(subject);
  await until("the text of " + subject, () => {
    const body = pane().messageBrowser.contentWindow.getMessagePaneBrowser()?.contentDocument?.body;
    return body && body.textContent.includes(text);
  });
}

async function attachments() {
  return until("the attachments", () => pane().messageBrowser.contentWindow.currentAttachments?.map(a => a.name).join(", "));
}

async function command(subject, name, ...args) {
  await select(subject);
  pane().commandController.doCommand(name, ...args);
}

async function move(subject, name) {
  await command(subject, "cmd_moveMessage", folder(name));
}

async function arrived(subject) {
  await until("the message " + subject, () => message(subject) >= 0);
}

async function flagged(subject) {
  await until("the star of " + subject, () => {
    const row = message(subject);
    return row >= 0 && pane().gDBView.getMsgHdrAt(row).isFlagged;
  });
}

async function gone(subject) {
  await until("the message to go: " + subject, () => message(subject) < 0);
}

async function compose(to, subject, text) {
  const fields = Cc["@mozilla.org/messengercompose/composefields;1"].createInstance(Ci.nsIMsgCompFields);
  fields.to = to;
  fields.subject = subject;
  const params = Cc["@mozilla.org/messengercompose/composeparams;1"].createInstance(Ci.nsIMsgComposeParams);
  params.composeFields = fields;
  params.identity = account().defaultIdentity;
  params.format = Ci.nsIMsgCompFormat.PlainText;
  MailServices.compose.OpenComposeWindowWithParams(null, params);
  await write(text, "");
}

async function reply(subject, text) {
  await command(subject, "cmd_reply");
  await write(text, "wrote:");
}

// write types into the window that was opened, once the text that is answered stands in it.
async function write(text, quoted) {
  const w = await until("the compose window", () => Services.wm.getMostRecentWindow("msgcompose"));
  const editor = await until("the editor", () => w.gMsgCompose?.editor && w.document.readyState == "complete" && w.GetCurrentEditor());
  await until("the quoted text", () => editor.document.body.textContent.includes(quoted));
  editor.beginningOfDocument();
  editor.insertText(text);
}

async function send() {
  const w = Services.wm.getMostRecentWindow("msgcompose");
  w.goDoCommand("cmd_sendNow");
  await until("the message to leave", () => w.closed);
}

// search asks the server, not the local copies.
async function search(name, text) {
  const session = Cc["@mozilla.org/messenger/searchSession;1"].createInstance(Ci.nsIMsgSearchSession);
  session.addScopeTerm(Ci.nsMsgSearchScope.onlineMail, folder(name));
  const term = session.createTerm();
  const value = term.value;
  value.attrib = Ci.nsMsgSearchAttrib.Body;
  value.str = text;
  term.attrib = Ci.nsMsgSearchAttrib.Body;
  term.op = Ci.nsMsgSearchOp.Contains;
  term.value = value;
  session.appendTerm(term);
  const hits = [];
  await new Promise(resolve => {
    session.registerListener({
      QueryInterface: ChromeUtils.generateQI(["nsIMsgSearchNotify"]),
      onSearchHit(header) { hits.push(header.mime2DecodedSubject); },
      onSearchDone() { resolve(); },
      onNewSearch() {},
    });
    session.search(msgWindow);
  });
  return hits.sort().join(", ");
}
