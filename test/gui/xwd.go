package main

import (
	"encoding/binary"
	"fmt"
	"image"
	"image/png"
	"os"
)

// savePNG makes a PNG of a screen that Xvfb keeps in a file (-fbdir), in the format of xwd: a header
// of big-endian numbers, the colours, and the pixels, each in 32 bits.
func savePNG(xwd, path string) error {
	data, err := os.ReadFile(xwd)
	if err != nil {
		return err
	}
	if len(data) < 80 {
		return fmt.Errorf("%s is no screen", xwd)
	}
	field := func(i int) int { return int(binary.BigEndian.Uint32(data[4*i:])) }
	width, height, bits, line := field(4), field(5), field(11), field(12)
	pixels := data[min(len(data), field(0)+12*field(19)):]
	if bits != 32 || len(pixels) < height*line {
		return fmt.Errorf("%s: %d bits a pixel, %d octets of %d", xwd, bits, len(pixels), height*line)
	}
	img := image.NewNRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			p, out := pixels[y*line+4*x:], img.Pix[img.PixOffset(x, y):]
			out[0], out[1], out[2], out[3] = p[2], p[1], p[0], 0xff // the machine's order: blue, green, red
		}
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := png.Encode(f, img); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
