package leat

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"

	"github.com/leatgo/leat/internal/attribute"
)

// How leatkey says that the partitionkey of an event in a poison queue was made of the transport's key.
const (
	keyText   = "text"
	keyBase64 = "base64"
	keySHA256 = "sha256"
	keyEmpty  = " empty" // behind one of the others: the original has an empty partitionkey
)

// setPoisonKey makes the transport's key the partitionkey of a poisoned event that has none, of at most limit bytes.
func (d *eventData) setPoisonKey(key string, limit int) {
	if key == "" || d.key != "" {
		return
	}
	form, text := keyText, key
	if attribute.TextRule(key) != "" {
		form, text = keyBase64, base64.StdEncoding.EncodeToString([]byte(key))
	}
	if len(text) > limit {
		form, text = keySHA256, hashedKey(key)
	}
	if d.hasKey {
		form += keyEmpty
	}
	d.key, d.hasKey = text, true
	d.setLeat(leatKey, kindString, form)
}

// hashedKey stands for a key that is too long.
func hashedKey(key string) string {
	sum := sha256.Sum256([]byte(key))
	return keySHA256 + ":" + hex.EncodeToString(sum[:])
}

// poisonKey returns the transport's key that setPoisonKey was given, or what stands for it; empty where there is none.
func (d *eventData) poisonKey() string {
	form, _ := d.leat(leatKey)
	switch strings.TrimSuffix(form, keyEmpty) {
	case keyText, keySHA256:
		return d.key
	case keyBase64:
		if key, err := base64.StdEncoding.DecodeString(d.key); err == nil {
			return string(key)
		}
	}
	return ""
}

// dropPoisonKey takes back what setPoisonKey did.
func (d *eventData) dropPoisonKey() {
	if form, ok := d.leat(leatKey); ok && d.poisonKey() != "" {
		d.key, d.hasKey = "", strings.HasSuffix(form, keyEmpty)
	}
}
