package admin

import "context"

// The methods of Service, asked over the socket.

func (c *Client) Accounts(ctx context.Context, q None) ([]Account, error) {
	return ask[[]Account](ctx, c, "Accounts", q)
}
func (c *Client) Account(ctx context.Context, q Name) (Account, error) {
	return ask[Account](ctx, c, "Account", q)
}
func (c *Client) AddAccount(ctx context.Context, q NewAccount) (Secret, error) {
	return ask[Secret](ctx, c, "AddAccount", q)
}
func (c *Client) SetPassword(ctx context.Context, q NewAccount) (Secret, error) {
	return ask[Secret](ctx, c, "SetPassword", q)
}
func (c *Client) DisableAccount(ctx context.Context, q Switch) (None, error) {
	return ask[None](ctx, c, "DisableAccount", q)
}
func (c *Client) RemoveAccount(ctx context.Context, q Name) (None, error) {
	return ask[None](ctx, c, "RemoveAccount", q)
}
func (c *Client) SetQuota(ctx context.Context, q Quota) (None, error) {
	return ask[None](ctx, c, "SetQuota", q)
}
func (c *Client) SetCapabilities(ctx context.Context, q Capabilities) (None, error) {
	return ask[None](ctx, c, "SetCapabilities", q)
}
func (c *Client) AppPasswords(ctx context.Context, q Name) ([]AppPassword, error) {
	return ask[[]AppPassword](ctx, c, "AppPasswords", q)
}
func (c *Client) AddAppPassword(ctx context.Context, q AppPassword) (Secret, error) {
	return ask[Secret](ctx, c, "AddAppPassword", q)
}
func (c *Client) RevokeAppPassword(ctx context.Context, q AppPassword) (None, error) {
	return ask[None](ctx, c, "RevokeAppPassword", q)
}
func (c *Client) Domains(ctx context.Context, q None) ([]Domain, error) {
	return ask[[]Domain](ctx, c, "Domains", q)
}
func (c *Client) AddDomain(ctx context.Context, q Domain) (None, error) {
	return ask[None](ctx, c, "AddDomain", q)
}
func (c *Client) DisableDomain(ctx context.Context, q Switch) (None, error) {
	return ask[None](ctx, c, "DisableDomain", q)
}
func (c *Client) SetCatchAll(ctx context.Context, q CatchAll) (None, error) {
	return ask[None](ctx, c, "SetCatchAll", q)
}
func (c *Client) RemoveDomain(ctx context.Context, q Name) (None, error) {
	return ask[None](ctx, c, "RemoveDomain", q)
}
func (c *Client) DomainRecords(ctx context.Context, q Name) ([]Record, error) {
	return ask[[]Record](ctx, c, "DomainRecords", q)
}
func (c *Client) Aliases(ctx context.Context, q None) ([]Alias, error) {
	return ask[[]Alias](ctx, c, "Aliases", q)
}
func (c *Client) AddAlias(ctx context.Context, q Alias) (None, error) {
	return ask[None](ctx, c, "AddAlias", q)
}
func (c *Client) RemoveAlias(ctx context.Context, q Name) (None, error) {
	return ask[None](ctx, c, "RemoveAlias", q)
}
func (c *Client) Keys(ctx context.Context, q Name) ([]Key, error) {
	return ask[[]Key](ctx, c, "Keys", q)
}
func (c *Client) AddKey(ctx context.Context, q NewKey) ([]Key, error) {
	return ask[[]Key](ctx, c, "AddKey", q)
}
func (c *Client) RotateKeys(ctx context.Context, q Name) ([]Key, error) {
	return ask[[]Key](ctx, c, "RotateKeys", q)
}
func (c *Client) RemoveKey(ctx context.Context, q Key) (None, error) {
	return ask[None](ctx, c, "RemoveKey", q)
}
func (c *Client) SignSample(ctx context.Context, q Name) (Sample, error) {
	return ask[Sample](ctx, c, "SignSample", q)
}
func (c *Client) QueueList(ctx context.Context, q QueueFilter) ([]QueueItem, error) {
	return ask[[]QueueItem](ctx, c, "QueueList", q)
}
func (c *Client) QueueDestinations(ctx context.Context, q None) ([]Destination, error) {
	return ask[[]Destination](ctx, c, "QueueDestinations", q)
}
func (c *Client) QueueShow(ctx context.Context, q Name) (QueueMessage, error) {
	return ask[QueueMessage](ctx, c, "QueueShow", q)
}
func (c *Client) QueueChange(ctx context.Context, q QueueOrder) (Count, error) {
	return ask[Count](ctx, c, "QueueChange", q)
}
func (c *Client) Mailboxes(ctx context.Context, q Name) ([]Mailbox, error) {
	return ask[[]Mailbox](ctx, c, "Mailboxes", q)
}
func (c *Client) CreateMailbox(ctx context.Context, q NewMailbox) (None, error) {
	return ask[None](ctx, c, "CreateMailbox", q)
}
func (c *Client) Held(ctx context.Context, q HeldQuery) ([]Held, error) {
	return ask[[]Held](ctx, c, "Held", q)
}
func (c *Client) Append(ctx context.Context, q NewMessage) (None, error) {
	return askWith[None](ctx, c, "Append", q, q.Body, q.Size)
}
func (c *Client) Rebuild(ctx context.Context, q Name) (None, error) {
	return ask[None](ctx, c, "Rebuild", q)
}
func (c *Client) Verify(ctx context.Context, q Name) ([]Problem, error) {
	return ask[[]Problem](ctx, c, "Verify", q)
}
func (c *Client) Backup(ctx context.Context, q None) (Copy, error) {
	return ask[Copy](ctx, c, "Backup", q)
}

func (c *Client) Certificates(ctx context.Context, q None) ([]Certificate, error) {
	return ask[[]Certificate](ctx, c, "Certificates", q)
}
func (c *Client) Peers(ctx context.Context, q None) ([]Peer, error) {
	return ask[[]Peer](ctx, c, "Peers", q)
}
func (c *Client) Explain(ctx context.Context, q Name) ([]Event, error) {
	return ask[[]Event](ctx, c, "Explain", q)
}
func (c *Client) Status(ctx context.Context, q None) (Status, error) {
	return ask[Status](ctx, c, "Status", q)
}
