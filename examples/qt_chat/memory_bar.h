// What a model takes of the machine's memory, as a bar of three parts.
#pragma once

#include <QWidget>

#include "theme.h"

class MemoryBar : public QWidget {
 public:
  explicit MemoryBar(QWidget* parent = nullptr);
  /// Bytes; available: what the machine has left, negative where it is not known.
  void show_plan(double weights, double talk, double scratch, double available);
  void set_theme(const Theme& theme);

 protected:
  void paintEvent(QPaintEvent* event) override;

 private:
  double parts_[3] = {0, 0, 0};
  double all_ = 1;
  Theme theme_ = Theme::light();
};
