package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// thunderbirdPrefs is a profile's user.js: bob's account, no first-run pages, nothing asked of
// the network, and copies of messages only when they are read.
func thunderbirdPrefs(d *demo, marionette int) string {
	prefs := map[string]any{
		"marionette.port": marionette,

		"mail.accountmanager.accounts":                "account1,account2",
		"mail.accountmanager.defaultaccount":          "account1",
		"mail.account.account1.server":                "server1",
		"mail.account.account1.identities":            "id1",
		"mail.account.account2.server":                "server2",
		"mail.accountmanager.localfoldersserver":      "server2",
		"mail.server.server2.type":                    "none",
		"mail.server.server2.hostname":                "Local Folders",
		"mail.server.server2.name":                    "Local Folders",
		"mail.server.server2.userName":                "nobody",
		"mail.server.server1.type":                    "imap",
		"mail.server.server1.hostname":                "localhost",
		"mail.server.server1.port":                    d.port(2993),
		"mail.server.server1.socketType":              3, // TLS from the start
		"mail.server.server1.authMethod":              3, // a password
		"mail.server.server1.userName":                bob,
		"mail.server.server1.name":                    bob,
		"mail.server.server1.login_at_startup":        false, // the passwords come later
		"mail.server.server1.check_new_mail":          false, // IDLE does
		"mail.server.server1.use_idle":                true,
		"mail.server.server1.offline_download":        false,
		"mail.server.server1.autosync_offline_stores": false,
		"mail.identity.id1.fullName":                  "Bob",
		"mail.identity.id1.useremail":                 bob,
		"mail.identity.id1.smtpServer":                "smtp1",
		"mail.identity.id1.valid":                     true,
		"mail.identity.id1.compose_html":              false,
		"mail.smtpservers":                            "smtp1",
		"mail.smtp.defaultserver":                     "smtp1",
		"mail.smtpserver.smtp1.type":                  "smtp",
		"mail.smtpserver.smtp1.hostname":              "localhost",
		"mail.smtpserver.smtp1.port":                  d.port(2587),
		"mail.smtpserver.smtp1.try_ssl":               2, // STARTTLS
		"mail.smtpserver.smtp1.authMethod":            3,
		"mail.smtpserver.smtp1.username":              bob,

		"mail.provider.suppress_dialog_on_startup":   true,
		"mail.spotlight.firstRunDone":                true,
		"mail.winsearch.firstRunDone":                true,
		"mail.shell.checkDefaultClient":              false,
		"mail.rights.version":                        1,
		"mail.inappnotifications.enabled":            false,
		"mailnews.start_page.enabled":                false,
		"mailnews.start_page_override.mstone":        "ignore",
		"app.donation.eoy.version.viewed":            99,
		"app.update.enabled":                         false,
		"datareporting.policy.dataSubmissionEnabled": false,
		"toolkit.telemetry.enabled":                  false,
		"extensions.update.enabled":                  false,
		"browser.safebrowsing.malware.enabled":       false,
		"browser.safebrowsing.phishing.enabled":      false,
		"network.captive-portal-service.enabled":     false,
		"network.connectivity-service.enabled":       false,
		// Web pages go to a proxy that isn't there.
		"network.proxy.type":      1,
		"network.proxy.http":      "127.0.0.1",
		"network.proxy.http_port": 9,
		"network.proxy.ssl":       "127.0.0.1",
		"network.proxy.ssl_port":  9,
	}
	var lines []string
	for name, value := range prefs {
		text, err := json.Marshal(value)
		if err != nil {
			panic(err) // numbers, texts and booleans have a form in JSON
		}
		lines = append(lines, fmt.Sprintf("user_pref(%q, %s);\n", name, text))
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}
