package differential

import "testing"

// TestAgainstDovecot asks Dovecot and us the same, one kind of question after another.
func TestAgainstDovecot(t *testing.T) {
	p := startPair(t)
	rep := newReport(t)
	messages := corpus(t)
	p.fill(t, "INBOX", messages)
	p.must("SELECT INBOX")
	testSearch(t, p, messages, rep)
	testSort(t, p, "corpus", messages, rep)
	testFetch(t, p, messages, rep)
	talks := conversations()
	p.must("CREATE talks")
	p.fill(t, "talks", talks)
	p.must("SELECT talks")
	testSort(t, p, "talks", talks, rep)
	testScripts(t, p, rep)
	testPipelining(t, p, rep)
	testOctets(t, p.ours)
	rep.finish()
}
