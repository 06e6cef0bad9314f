package brokertest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

const manageTimeout = 15 * time.Second

// Manage calls the management API (https://www.rabbitmq.com/docs/http-api-reference) as the
// administrator. The path begins with /api, and names in it are escaped. A body that is not nil is
// sent as JSON, and an answer is read from JSON where out is not nil.
func (n *RabbitMQNode) Manage(ctx context.Context, method, path string, body, out any) error {
	ctx, cancel := context.WithTimeout(ctx, manageTimeout)
	defer cancel()
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, n.ManagementURL()+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // nothing of it stays behind
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxResponse))
	if err != nil {
		return err
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, answer)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer, out)
}

// AddUser adds a user who may do nothing yet. One without a password can log in by a certificate
// only.
func (n *RabbitMQNode) AddUser(ctx context.Context, name, password string) error {
	user := map[string]string{"tags": "", "password": password}
	if password == "" {
		user = map[string]string{"tags": "", "password_hash": ""}
	}
	return n.Manage(ctx, http.MethodPut, "/api/users/"+url.PathEscape(name), user, nil)
}

// ChangePassword gives a user that AddUser has added another password. Connections that there are
// stay.
func (n *RabbitMQNode) ChangePassword(ctx context.Context, name, password string) error {
	return n.AddUser(ctx, name, password)
}

// DeleteUser deletes a user. The connections of the user are closed.
func (n *RabbitMQNode) DeleteUser(ctx context.Context, name string) error {
	return n.Manage(ctx, http.MethodDelete, "/api/users/"+url.PathEscape(name), nil, nil)
}

// SetPermissions lets a user configure, write to and read from what the regular expressions match
// in a virtual host, "" being nothing and ".*" all. Channels that are open keep what they have
// looked up for a while.
func (n *RabbitMQNode) SetPermissions(ctx context.Context, user, vhost, configure, write, read string) error {
	return n.Manage(ctx, http.MethodPut, "/api/permissions/"+url.PathEscape(vhost)+"/"+url.PathEscape(user),
		map[string]string{"configure": configure, "write": write, "read": read}, nil)
}

// AddVhost adds a virtual host, in which the administrator may do everything.
func (n *RabbitMQNode) AddVhost(ctx context.Context, name string) error {
	return n.Manage(ctx, http.MethodPut, "/api/vhosts/"+url.PathEscape(name), nil, nil)
}

// DeleteVhost deletes a virtual host with all that is in it. The connections to it are closed.
func (n *RabbitMQNode) DeleteVhost(ctx context.Context, name string) error {
	return n.Manage(ctx, http.MethodDelete, "/api/vhosts/"+url.PathEscape(name), nil, nil)
}

// DeleteQueue deletes a queue, used or not. Its consumers are told basic.cancel.
func (n *RabbitMQNode) DeleteQueue(ctx context.Context, vhost, name string) error {
	return n.Manage(ctx, http.MethodDelete, "/api/queues/"+url.PathEscape(vhost)+"/"+url.PathEscape(name), nil, nil)
}

// DeleteExchange deletes an exchange, used or not.
func (n *RabbitMQNode) DeleteExchange(ctx context.Context, vhost, name string) error {
	return n.Manage(ctx, http.MethodDelete, "/api/exchanges/"+url.PathEscape(vhost)+"/"+url.PathEscape(name), nil, nil)
}
