package postgres

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/wikifarm/jobqueue/queuedb"
)

// each calls row for each row and returns how many rows the statement returned or changed.
func each(rows pgx.Rows, row func(queuedb.Scan) error) (n int, err error) {
	defer rows.Close()
	scan := func(dest ...any) error { return scan(rows, dest) }
	for rows.Next() {
		if row == nil || err != nil {
			continue
		}
		err = row(scan)
	}
	rows.Close()
	return int(rows.CommandTag().RowsAffected()), err
}

// scan copies the columns of a row, which come in the format of the server.
func scan(rows pgx.Rows, dest []any) error {
	raw, fields := rows.RawValues(), rows.FieldDescriptions()
	if len(raw) != len(dest) {
		return fmt.Errorf("%d columns for %d values", len(raw), len(dest))
	}
	for i, d := range dest {
		ok := true
		oid, v := fields[i].DataTypeOID, raw[i]
		if fields[i].Format == pgx.TextFormatCode {
			var err error
			if v, err = binaryOf(oid, v); err != nil {
				return fmt.Errorf("column %d: %w", i+1, err)
			}
		}
		switch d := d.(type) {
		case *int64:
			*d, ok = number(oid, v)
		case *bool:
			ok = v == nil || oid == pgtype.BoolOID
			*d = len(v) == 1 && v[0] == 1
		case *string:
			ok = v == nil || oid == pgtype.TextOID
			*d = string(v)
		case *[]byte:
			ok = v == nil || oid == pgtype.TextOID || oid == pgtype.ByteaOID
			*d = bytes.Clone(v)
		case *queuedb.Runs:
			ok = oid == pgtype.Int8ArrayOID
			*d = runs(v)
		default:
			return fmt.Errorf("column %d cannot be read as a %T", i+1, d)
		}
		if !ok {
			return fmt.Errorf("column %d has the type %d, which is no %T", i+1, oid, d)
		}
	}
	return nil
}

// binaryOf turns a column in the format of text, which connections of others and those to poolers
// ask for, into the one that this package asks for.
func binaryOf(oid uint32, v []byte) (b []byte, err error) {
	if v == nil {
		return nil, nil
	}
	switch oid {
	case pgtype.TextOID:
		return v, nil
	case pgtype.Int8OID, pgtype.Int4OID:
		n, err := strconv.ParseInt(string(v), 10, 64)
		if oid == pgtype.Int4OID {
			return binary.BigEndian.AppendUint32(nil, uint32(n)), err
		}
		return binary.BigEndian.AppendUint64(nil, uint64(n)), err
	case pgtype.BoolOID:
		return []byte{byte(strings.Index("ft", string(v)))}, nil
	case pgtype.Int8ArrayOID:
		b = make([]byte, arrayHead)
		for text := range strings.FieldsFuncSeq(string(v), func(r rune) bool { return strings.ContainsRune("{,}", r) }) {
			n, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				return nil, err
			}
			b = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(b, 8), uint64(n))
		}
		return b, nil
	case pgtype.ByteaOID:
		return hex.DecodeString(strings.TrimPrefix(string(v), `\x`))
	}
	return nil, fmt.Errorf("type %d as text", oid)
}

func number(oid uint32, v []byte) (n int64, ok bool) {
	switch {
	case v == nil:
		return 0, true
	case oid == pgtype.Int8OID && len(v) == 8:
		return int64(binary.BigEndian.Uint64(v)), true
	case oid == pgtype.Int4OID && len(v) == 4:
		return int64(int32(binary.BigEndian.Uint32(v))), true
	}
	return 0, false
}

// Sizes of an array of numbers: what comes before them, and each of them.
const (
	arrayHead    = 20
	arrayElement = 4 + 8
)

// runs reads an array of numbers: how many dimensions, whether there are
// NULLs, the type, the length and the lower bound, and each number after its size.
func runs(v []byte) (r queuedb.Runs) {
	if len(v) < arrayHead || (len(v)-arrayHead)%arrayElement != 0 {
		return nil
	}
	for v = v[arrayHead:]; len(v) > 0; v = v[arrayElement:] {
		id := int64(binary.BigEndian.Uint64(v[4:]))
		if n := len(r); n > 0 && r[n-1].Last == id-1 {
			r[n-1].Last = id
		} else {
			r = append(r, queuedb.Run{First: id, Last: id})
		}
	}
	return r
}
