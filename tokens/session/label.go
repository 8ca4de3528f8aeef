package session

import "github.com/bearer-go/bearer/internal/optional"

// A StoreOption changes what [NewFileStore] and [NewSealedStore] do. Each may be given once.
type StoreOption func(*storeConfig)

// storeConfig is what the options say, and what is wrong with it.
type storeConfig struct {
	optional.Mistakes

	label optional.Value[string]
}

// WithLabel binds the records of a Store to a text: what was sealed under another label, or under
// none, is [ErrCannotUnseal], even with the same key. Give each Store a label of its own where
// several have one key, such as those of two tenants, or of production and staging: otherwise a
// record that is copied from one to the other, under its own name, opens there. The label is not
// secret. It has to be the same in all processes that share the records, and stays when they move
// to another directory. It has 1 to 256 characters of UTF-8, none of them a control character. The
// default is none.
func WithLabel(label string) StoreOption {
	return func(c *storeConfig) { c.label.Set(label) }
}

// configureStore collects what the options say, and judges it with what all stores have.
func configureStore(constructor string, keys SealKeys, opts []StoreOption) *storeConfig {
	c := new(storeConfig)
	if keys == nil {
		c.Add(constructor, "nil", "the keys to seal records with are nil: see SealKeysFromFile")
	}
	optional.Apply(&c.Mistakes, constructor, opts, c)
	optional.Once(&c.Mistakes, "WithLabel", &c.label, nil)
	if c.label.Given() && !isName(c.label.Get()) {
		c.Add("WithLabel", "", "the label must have 1 to %d characters of UTF-8 and no control character", maxName)
	}
	return c
}

// binding is what a record is sealed for, so that one cannot pass for another.
type binding struct {
	purpose byte
	label   string // "" for none
}

const (
	sealedForStore byte = 1
	sealedForFile  byte = 2
	sealedForLogin byte = 3
)

// context is what a sealed record is bound to: the format and the key's ID, and what it is for.
// Neither a label nor a name has a zero byte in it, so that no two of them make one text.
func (b binding) context(head [headSize]byte, name string) []byte {
	text := append(append([]byte("bearer tokens record\x00"), b.purpose), head[:]...)
	if b.label != "" {
		text = append(append(text, b.label...), 0)
	}
	return append(text, name...)
}
