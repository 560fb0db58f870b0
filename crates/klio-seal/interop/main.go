// Verifies a log that Klio wrote with the libraries of Go's checksum database: the signature of the checkpoint,
// every tile, every entry's proof and the proofs between all checkpoints of the history.
package main

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// tiles reads C2SP tlog-tiles: those of Go's own database with the height left out of the path.
type tiles struct{ dir string }

func (t tiles) Height() int { return 8 }

func (t tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func (t tiles) ReadTiles(want []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range want {
		data, err := os.ReadFile(filepath.Join(t.dir, path(tile)))
		if os.IsNotExist(err) && tile.W < 256 {
			full := tile
			full.W = 256
			data, err = os.ReadFile(filepath.Join(t.dir, path(full)))
		}
		if err != nil {
			return nil, err
		}
		all = append(all, data[:tile.W*tlog.HashSize])
	}
	return all, nil
}

func path(tile tlog.Tile) string {
	return strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
}

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return value
}

func tree(text string, verifier note.Verifier) tlog.Tree {
	opened := must(note.Open([]byte(text), note.VerifierList(verifier)))
	lines := strings.Split(opened.Text, "\n")
	if lines[0] != verifier.Name() || len(lines) != 4 {
		must(0, fmt.Errorf("unexpected checkpoint text %q", opened.Text))
	}
	size := must(strconv.ParseInt(lines[1], 10, 64))
	var hash tlog.Hash
	copy(hash[:], must(base64.StdEncoding.DecodeString(lines[2])))
	return tlog.Tree{N: size, Hash: hash}
}

func main() {
	dir := os.Args[1]
	verifier := must(note.NewVerifier(os.Args[2]))
	now := tree(string(must(os.ReadFile(filepath.Join(dir, "checkpoint")))), verifier)
	reader := tlog.TileHashReader(now, tiles{dir})

	entries := int64(0)
	for n := int64(0); n*256 < now.N; n++ {
		tile := tlog.Tile{H: 8, L: 0, N: n, W: int(min(256, now.N-n*256))}
		name := strings.Replace(path(tile), "tile/0/", "tile/entries/", 1)
		data := must(os.ReadFile(filepath.Join(dir, name)))
		for len(data) > 0 {
			length := int(binary.BigEndian.Uint16(data))
			entry := data[2 : 2+length]
			data = data[2+length:]
			proof := must(tlog.ProveRecord(now.N, entries, reader))
			must(0, tlog.CheckRecord(proof, now.N, now.Hash, entries, tlog.RecordHash(entry)))
			entries++
		}
	}
	if entries != now.N {
		must(0, fmt.Errorf("%d entries, the checkpoint says %d", entries, now.N))
	}

	kept := 0
	for _, file := range must(filepath.Glob(filepath.Join(dir, "checkpoints", "*"))) {
		notes := strings.SplitAfter(string(must(os.ReadFile(file))), "=\n\n")
		// Text and signatures of a note are parted by an empty line as well.
		for i := 0; i+1 < len(notes); i += 2 {
			old := tree(strings.TrimSuffix(notes[i]+notes[i+1], "\n"), verifier)
			if old.N > 0 {
				proof := must(tlog.ProveTree(now.N, old.N, reader))
				must(0, tlog.CheckTree(proof, now.N, now.Hash, old.N, old.Hash))
			}
			kept++
		}
	}
	fmt.Printf("%d entries %d checkpoints\n", entries, kept)
}
