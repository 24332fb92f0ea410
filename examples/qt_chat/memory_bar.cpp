#include "memory_bar.h"

#include <QPainter>
#include <QPainterPath>
#include <algorithm>

MemoryBar::MemoryBar(QWidget* parent) : QWidget(parent) {
  setFixedHeight(10);
}

void MemoryBar::show_plan(double weights, double talk, double scratch, double available) {
  parts_[0] = weights;
  parts_[1] = talk;
  parts_[2] = scratch;
  // Parts of a hundredth of the machine could not be seen: the bar shows the plan against what is
  // left, but never less than a third filled.
  const double total = weights + talk + scratch;
  all_ = std::max(1.0, std::min(available > 0 ? available : total, 3 * total));
  all_ = std::max(all_, total);
  update();
}

void MemoryBar::set_theme(const Theme& theme) {
  theme_ = theme;
  update();
}

void MemoryBar::paintEvent(QPaintEvent*) {
  QPainter painter(this);
  painter.setRenderHint(QPainter::Antialiasing);
  QPainterPath outline;
  outline.addRoundedRect(rect(), height() / 2.0, height() / 2.0);
  painter.setClipPath(outline);
  painter.fillRect(rect(), theme_.border);
  const QColor colours[] = {theme_.weights, theme_.talk, theme_.scratch};
  double left = 0;
  for (int i = 0; i < 3; ++i) {
    const double part = width() * parts_[i] / all_;
    painter.fillRect(QRectF(left, 0, part, height()), colours[i]);
    left += part;
  }
}
