package main

import (
	"errors"
	"image/color"
	"math"
	"os"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// chartName is the chart's file.
const chartName = "benchmarks.svg"

// The chart's measures.
const (
	chartWidth  = 24 * vg.Centimeter
	chartHeight = 21 * vg.Centimeter
	chartMargin = 4 * vg.Millimeter
	barHeight   = 5 * vg.Millimeter / 2
	labelRoom   = 9 * vg.Millimeter // right of the names: whoever shows the chart may have a wider font
)

// chartAlgorithms and chartColors belong together.
var (
	chartAlgorithms = []string{"RS256", "ES256", "EdDSA"}
	chartColors     = []color.Color{
		color.RGBA{0x1f, 0x77, 0xb4, 0xff}, color.RGBA{0xff, 0x7f, 0x0e, 0xff}, color.RGBA{0x2c, 0xa0, 0x2c, 0xff},
	}
)

// bars are horizontal bars on a logarithmic scale, which package plotter has not: its bars begin at zero.
type bars struct {
	values []float64 // from the lowest row to the highest; NaN leaves a row empty
	offset vg.Length // from the middle of the row
	color  color.Color
}

// Plot implements [plot.Plotter].
func (b bars) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	for row, value := range b.values {
		if math.IsNaN(value) {
			continue
		}
		middle, end := y(float64(row))+b.offset, max(x(value), c.Min.X)
		c.FillPolygon(b.color, []vg.Point{
			{X: c.Min.X, Y: middle - barHeight/2},
			{X: end, Y: middle - barHeight/2},
			{X: end, Y: middle + barHeight/2},
			{X: c.Min.X, Y: middle + barHeight/2},
		})
		style := p.X.Tick.Label
		style.XAlign, style.YAlign = draw.XLeft, draw.YCenter
		style.Font.Size = 7
		c.FillText(style, vg.Point{X: end + 2, Y: middle}, duration(value))
	}
}

// Thumbnail implements [plot.Thumbnailer].
func (b bars) Thumbnail(c *draw.Canvas) {
	c.FillPolygon(b.color, []vg.Point{c.Min, {X: c.Max.X, Y: c.Min.Y}, c.Max, {X: c.Min.X, Y: c.Max.Y}})
}

// chart draws the main figures into a file. Without them there is nothing to draw.
func (b *bench) chart(file string) error {
	if math.IsNaN(b.figures.ns("peers/RS256/" + rawName)) {
		b.say("chart: NOT drawn: its figures were not measured")
		return nil
	}
	rows := peerRows()
	slices.Reverse(rows) // the axis points upwards

	plot.DefaultFont = font.Font{Typeface: "Liberation", Variant: "Sans"}
	p := plot.New()
	p.Title.Text = "Time of one request, by algorithm (logarithmic scale; less is better)"
	p.Title.Padding = 3 * vg.Millimeter
	p.X.Scale = plot.LogScale{}
	p.X.Tick.Marker = plot.ConstantTicks{
		{Value: 1e2, Label: "100 ns"}, {Value: 1e3, Label: "1 us"}, {Value: 1e4, Label: "10 us"}, {Value: 1e5, Label: "100 us"},
	}
	p.X.Min, p.X.Max = 100, 5e5
	p.Y.Min, p.Y.Max = -0.6, float64(len(rows))-0.4
	p.NominalY(rows...)
	p.Y.Padding = labelRoom
	p.Legend.Top, p.Legend.ThumbnailWidth = true, barHeight*2
	grid := plotter.NewGrid()
	grid.Horizontal.Width = 0
	p.Add(grid)
	for i, alg := range chartAlgorithms {
		one := bars{color: chartColors[i], offset: vg.Length(1-i) * barHeight}
		for _, row := range rows {
			one.values = append(one.values, b.figures.ns("peers/"+alg+"/"+row))
		}
		p.Add(one)
		p.Legend.Add(alg, one)
	}
	return save(p, file)
}

// save writes the plot with a margin around it.
func save(p *plot.Plot, file string) (err error) {
	canvas := vgsvg.New(chartWidth, chartHeight)
	background := draw.New(canvas)
	background.SetColor(p.BackgroundColor)
	background.Fill(background.Rectangle.Path())
	p.Draw(draw.Crop(background, chartMargin, -chartMargin, chartMargin, -chartMargin))
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = canvas.WriteTo(out)
	return err
}
