package uuid_test

import (
	"crypto/sha256"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/leatgo/leat/internal/uuid"
)

func TestAppend(t *testing.T) {
	at := time.UnixMilli(0x0123456789ab).Add(500 * time.Microsecond)
	id := string(uuid.Append(nil, at))
	assert.Len(t, id, uuid.Len)
	assert.Regexp(t, `^01234567-89ab-7800-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`, id)
	assert.NotEqual(t, id, string(uuid.Append(nil, at)))
	assert.Less(t, id, string(uuid.Append(nil, at.Add(time.Microsecond))), "ids sort by time")
}

func TestHash(t *testing.T) {
	id := uuid.Hash(sha256.Sum256([]byte("a")))
	assert.Equal(t, id, uuid.Hash(sha256.Sum256([]byte("a"))))
	assert.Regexp(t, `^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`, id)
}
