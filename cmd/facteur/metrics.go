package main

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"facteur/mta/queue"
	"facteur/mta/smtpd"
)

// metrics count what the rooms tell.
type metrics struct {
	registry *prometheus.Registry
	smtp     *prometheus.CounterVec
	octets   *prometheus.CounterVec
	took     *prometheus.HistogramVec
}

func newMetrics(q *queue.Queue) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		smtp: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "facteur_smtp_events_total", Help: "Connections, messages and failed logins of the SMTP listeners.",
		}, []string{"listener", "what"}),
		octets: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "facteur_smtp_accepted_octets_total", Help: "Octets of accepted messages.",
		}, []string{"listener"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "facteur_smtp_accept_seconds", Help: "From the end of a message to our 250.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 8),
		}, []string{"listener"}),
	}
	m.registry.MustRegister(m.smtp, m.octets, m.took, queueCollector{q},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

var smtpWhat = map[smtpd.What]string{
	smtpd.Connected: "connected", smtpd.TurnedAway: "turned_away", smtpd.Accepted: "accepted",
	smtpd.Refused: "refused", smtpd.LoginFailed: "login_failed", smtpd.Panicked: "panicked",
}

// observe is smtpd's Observe.
func (m *metrics) observe(e smtpd.Event) {
	m.smtp.WithLabelValues(e.Listener, smtpWhat[e.What]).Inc()
	if e.What == smtpd.Accepted {
		m.octets.WithLabelValues(e.Listener).Add(float64(e.Octets))
		m.took.WithLabelValues(e.Listener).Observe(e.Took.Seconds())
	}
}

// queueCollector asks the queue when it is asked.
type queueCollector struct{ q *queue.Queue }

var (
	queueNowDesc = prometheus.NewDesc("facteur_queue", "The queue now: jobs are messages with the recipients of one destination.", []string{"what"}, nil)
	queueSumDesc = prometheus.NewDesc("facteur_queue_total", "Messages added, and what became of recipients, since the start.", []string{"what"}, nil)
)

// Describe implements prometheus.Collector.
func (queueCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- queueNowDesc
	ch <- queueSumDesc
}

// Collect implements prometheus.Collector.
func (c queueCollector) Collect(ch chan<- prometheus.Metric) {
	s, err := c.q.Stats(context.Background())
	if err != nil {
		ch <- prometheus.NewInvalidMetric(queueNowDesc, err)
		return
	}
	for what, n := range map[string]int{"jobs": s.Jobs, "active": s.Active, "due": s.Waiting} {
		ch <- prometheus.MustNewConstMetric(queueNowDesc, prometheus.GaugeValue, float64(n), what)
	}
	for what, n := range map[string]int64{"added": s.Added, "delivered": s.Delivered, "deferred": s.Deferred, "failed": s.Failed, "notices": s.Notices} {
		ch <- prometheus.MustNewConstMetric(queueSumDesc, prometheus.CounterValue, float64(n), what)
	}
}
