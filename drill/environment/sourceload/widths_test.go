package sourceload

import (
	"math"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
)

func histogram(t *testing.T, text string) []bucket {
	t.Helper()
	p := expfmt.NewTextParser(model.UTF8Validation)
	all, err := p.TextToMetricFamilies(strings.NewReader("# TYPE w histogram\n" + text))
	require.NoError(t, err)
	require.Equal(t, dto.MetricType_HISTOGRAM, all["w"].GetType())
	return bucketsOf(all["w"].GetMetric())
}

func (w *widthLog) all() (out [][2]int) {
	for {
		least, widest := w.next()
		if least == 0 {
			return out
		}
		out = append(out, [2]int{least, widest})
	}
}

func TestWidthsOfAHistogram(t *testing.T) {
	const labels = "w_bucket{a=\"x\",le=\"1\"} 3\nw_bucket{a=\"x\",le=\"+Inf\"} 4\nw_bucket{a=\"y\",le=\"1\"} 1\nw_bucket{a=\"y\",le=\"+Inf\"} 1\n"
	require.Equal(t, []bucket{{1, 4}, {math.Inf(1), 5}}, histogram(t, labels))

	at := func(n1, n2, n4, all string) []bucket {
		return histogram(t, "w_bucket{le=\"1\"} "+n1+"\nw_bucket{le=\"2\"} "+n2+"\nw_bucket{le=\"4\"} "+n4+"\nw_bucket{le=\"+Inf\"} "+all+"\n")
	}
	var w widthLog
	w.grow(at("5", "9", "9", "9"))
	require.Empty(t, w.all(), "what was before the first look does not count")
	w.grow(at("7", "12", "13", "15"))
	require.Equal(t, [][2]int{{5, anyWidth}, {5, anyWidth}, {3, 4}, {2, 0}, {1, 0}, {1, 0}}, w.all())
	w.grow(at("7", "12", "13", "15"))
	require.Empty(t, w.all())
	w.grow(at("8", "13", "14", "16"))
	w.grow(at("8", "14", "15", "17"))
	require.Equal(t, [][2]int{{2, 0}, {1, 0}}, w.all(), "what was not passed on yet is not lost")
	w.grow(at("1", "2", "2", "2"))
	require.Equal(t, [][2]int{{2, 0}, {1, 0}}, w.all(), "the service was started anew")
}
