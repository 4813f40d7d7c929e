package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	secretLife   = time.Minute
	largestReply = 1 << 20
)

// account is what a Secret says: where to ask, with what token, and by a client that trusts the right authority.
type account struct {
	endpoint string
	token    string
	http     *http.Client
}

// accounts reads each Secret once a minute at most, however many operations use it.
type accounts struct {
	reader client.Reader

	mu      sync.Mutex
	known   map[types.NamespacedName]*entry
	clients map[[sha256.Size]byte]*http.Client
}

type entry struct {
	mu      sync.Mutex
	read    time.Time
	account *account
}

func newAccounts(reader client.Reader) *accounts {
	return &accounts{
		reader:  reader,
		known:   map[types.NamespacedName]*entry{},
		clients: map[[sha256.Size]byte]*http.Client{},
	}
}

func (a *accounts) get(ctx context.Context, name types.NamespacedName) (*account, error) {
	a.mu.Lock()
	known := a.known[name]
	if known == nil {
		known = &entry{}
		a.known[name] = known
	}
	a.mu.Unlock()

	// Held while reading, so that all who wait for one Secret share one request.
	known.mu.Lock()
	defer known.mu.Unlock()
	if known.account != nil && time.Since(known.read) < secretLife {
		return known.account, nil
	}
	var secret corev1.Secret
	if err := a.reader.Get(ctx, name, &secret); err != nil {
		return nil, fmt.Errorf("secret %s: %w", name.Name, err)
	}
	account, err := a.open(&secret)
	if err != nil {
		return nil, fmt.Errorf("secret %s: %w", name.Name, err)
	}
	known.read, known.account = time.Now(), account
	return account, nil
}

func (a *accounts) open(secret *corev1.Secret) (*account, error) {
	value := func(key string) string { return strings.TrimSpace(string(secret.Data[key])) }
	endpoint, token := strings.TrimRight(value("endpoint"), "/"), value("token")
	if !strings.HasPrefix(endpoint, "https://") || token == "" {
		return nil, errors.New("it needs an https endpoint and a token")
	}
	client, err := a.client(secret.Data["ca.crt"])
	if err != nil {
		return nil, err
	}
	return &account{endpoint: endpoint, token: token, http: client}, nil
}

// client shares one transport, and so one pool of connections, among all accounts that trust the same authority.
func (a *accounts) client(authority []byte) (*http.Client, error) {
	key := sha256.Sum256(authority)
	a.mu.Lock()
	defer a.mu.Unlock()
	if known := a.clients[key]; known != nil {
		return known, nil
	}
	var roots *x509.CertPool
	if len(authority) > 0 {
		roots = x509.NewCertPool()
		if !roots.AppendCertsFromPEM(authority) {
			return nil, errors.New("ca.crt holds no certificate")
		}
	}
	client := &http.Client{
		Timeout: 20 * time.Second,
		Transport: &http.Transport{
			TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2:   true,
			TLSHandshakeTimeout: 5 * time.Second,
			MaxIdleConns:        512,
			MaxIdleConnsPerHost: workers,
			IdleConnTimeout:     90 * time.Second,
			// The replies are small: compression costs more than it saves.
			DisableCompression: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	a.clients[key] = client
	return client, nil
}

// get sends one request and returns the body of a 200.
func (a *account) get(ctx context.Context, q *question) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.endpoint+q.path, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	if q.header == bearer {
		request.Header.Set(bearer, "Bearer "+a.token)
	} else {
		request.Header.Set(q.header, a.token)
	}
	response, err := a.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	// Read to its end, so that the connection can be used again.
	body, err := io.ReadAll(io.LimitReader(response.Body, largestReply))
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the cloud answered %s", response.Status)
	}
	return body, nil
}
